/* Depthwise convolution: each channel is filtered alone, vectors run along the channels. See fc_depthwise_args. */
#define FC_DEPTHWISE_KERNELS {0}
