// Compiled with every change of the header, so that its assertions are checked at once.
#include "omen_frame.h"
