#include "model/queue_simulator/hooks.h"

/* NOLINTNEXTLINE(bugprone-suspicious-include): that is what this is for */
#include "queue/done.c"
