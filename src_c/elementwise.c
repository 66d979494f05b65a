/* Elementwise functions. */
#include "dispatch.h"
