/* The clock and the judge; the first process of every model. */

#define IS_QUIET (((ASLEEP & ~due) | gone | finished) == EVERYBODY)

#ifdef RECHECK
#    define IS_OVER (IS_QUIET && ticked)
#    define TICK                                                               \
        :: atomic { IS_QUIET && !ticked && ASLEEP != 0 ->                      \
            due = ASLEEP; ticked = 1 }
#else
#    define IS_OVER IS_QUIET
#    define TICK
#endif

active proctype judge()
{
end:
    do
    TICK
    :: atomic { IS_OVER && IS_WEDGED -> wedged = 1; assert(!wedged) }
    :: atomic { IS_OVER && IS_LOST -> assert(false) }
    od
}
