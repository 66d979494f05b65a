/* Pooling. */
#include "dispatch.h"
