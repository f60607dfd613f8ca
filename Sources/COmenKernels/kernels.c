#include "omen_kernels.h"
