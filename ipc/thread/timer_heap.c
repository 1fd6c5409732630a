/* State, of a timer that is in the heap
 *   child_   the first of those below it, or NULL
 *   next_    the next one below the same parent, or NULL
 *   back_    the one before it there; for the first one, the parent; NULL for
 *            the top
 *
 * Invariant
 *   None comes before its parent, in the order of when_ and then order_. */
#include "thread/timer_heap.h"

#include <stddef.h>

static bool is_before(const ipc_timer *a, const ipc_timer *b)
{
    return a->when_ < b->when_ ||
           (a->when_ == b->when_ && a->order_ < b->order_);
}

/* One heap of two, either of which may be NULL; both are tops without
 * neighbours. */
static ipc_timer *meld(ipc_timer *a, ipc_timer *b)
{
    if (a == NULL || b == NULL)
        return a != NULL ? a : b;
    ipc_timer *parent = is_before(b, a) ? b : a;
    ipc_timer *child = parent == a ? b : a;
    child->back_ = parent;
    child->next_ = parent->child_;
    if (parent->child_ != NULL)
        parent->child_->back_ = child;
    parent->child_ = child;
    return parent;
}

static ipc_timer *cut_off(ipc_timer *timer)
{
    timer->next_ = NULL;
    timer->back_ = NULL;
    return timer;
}

/* One heap of a row of neighbours: in pairs from the left, then the pairs from
 * the right.  This order is what makes it O(log n).  Without recursion, as the
 * row may be long: the pairs are kept in a row by next_. */
static ipc_timer *meld_row(ipc_timer *first)
{
    ipc_timer *pairs = NULL;
    while (first != NULL) {
        ipc_timer *a = first;
        ipc_timer *b = a->next_;
        first = b != NULL ? b->next_ : NULL;
        ipc_timer *pair = meld(cut_off(a), b != NULL ? cut_off(b) : NULL);
        pair->next_ = pairs;
        pairs = pair;
    }
    ipc_timer *top = NULL;
    while (pairs != NULL) {
        ipc_timer *pair = pairs;
        pairs = pair->next_;
        top = meld(cut_off(pair), top);
    }
    return top;
}

void ipc__timer_heap_insert(ipc_timer **top, ipc_timer *timer)
{
    timer->child_ = NULL;
    *top = meld(*top, cut_off(timer));
}

void ipc__timer_heap_remove(ipc_timer **top, ipc_timer *timer)
{
    ipc_timer *below = meld_row(timer->child_);
    if (timer->back_ == NULL) {
        *top = below;
        return;
    }
    if (timer->back_->child_ == timer) /* the first of its row */
        timer->back_->child_ = timer->next_;
    else
        timer->back_->next_ = timer->next_;
    if (timer->next_ != NULL)
        timer->next_->back_ = timer->back_;
    *top = meld(*top, below);
}
