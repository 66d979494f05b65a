/* Depthwise convolution. */
#include "conv2d_internal.h"

fc_status fc_depthwise_forward(const fc_conv2d *conv, const void *x, const void *w, const void *bias, void *y) { return fc_igemm_forward(conv, x, w, bias, y); }
fc_status fc_depthwise_backward_input(const fc_conv2d *conv, const void *dy, const void *w, void *dx) { return fc_igemm_backward_input(conv, dy, w, dx); }
fc_status fc_depthwise_backward_weights(const fc_conv2d *conv, const void *x, const void *dy, void *dw, void *db) { return fc_wgrad(conv, x, dy, dw, db); }
