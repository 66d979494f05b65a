/* Pooling kernels. */
#define FC_POOL_KERNELS {0}
