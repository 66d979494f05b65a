/* Winograd kernels. */
#define FC_WINOGRAD_KERNELS {0}
