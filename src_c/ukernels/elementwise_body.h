/* Elementwise kernels. */
#define FC_ELEMENTWISE_KERNELS {0}
