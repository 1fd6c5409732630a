/* Memory that somebody scribbled over: calls succeed or fail, and never crash
 * or go on for ever. */
#include "unit/arena_support.h"

#include <signal.h>

#include <ipc/dict.h>
#include <ipc/list.h>

enum {
    LINKS = 40,
    BYTES = 256 * 1024 /* of the heap */
};

/* ---- an arena and how it was ---- */

static ipc_arena *arena;
static unsigned char *kept;
static size_t kept_bytes;
static uint64_t kept_heap;

static void make_and_keep(void)
{
    ipc_list *list = NULL;
    ipc_dict *dict = NULL;
    arena = arena_with_chain(BYTES);
    for (uint64_t i = 0; i < LINKS; i++)
        expect_rc(add_one(arena, i / 2, 20 * i, i), 0);
    for (uint64_t i = 0; i < 10; i++)
        expect_rc(remove_one(arena, 2 * i), 0);
    expect_rc(ipc_arena_list(arena, "numbers", &list), 0);
    expect_rc(ipc_arena_dict(arena, "stock", &dict), 0);
    for (int i = 0; i < 20; i++)
        expect_rc(ipc_list_append(list, ipc_i64(i)), 0);
    expect_rc(ipc_list_close(list), 0);
    expect_rc(ipc_dict_close(dict), 0);
    kept_bytes = arena->top;
    kept_heap = arena->heap;
    kept = malloc(kept_bytes);
    assert_non_null(kept);
    memcpy(kept, arena, kept_bytes);
}

static void bring_back(void)
{
    memcpy(arena, kept, kept_bytes);
}

static void forget(void)
{
    free(kept);
    expect_rc(ipc_arena_free(arena), 0);
}

/* ---- everything, believing nothing ---- */

static bool expected(int rc)
{
    return rc == 0 || rc == -EUCLEAN || rc == -ENOSPC || rc == -ENOMEM ||
           rc == -EINVAL || rc == -ENOENT || rc == -ESTALE ||
           rc == -ENOTRECOVERABLE;
}

#define EXPECT(call)                                                           \
    do {                                                                       \
        const int rc_ = (call);                                                \
        if (!expected(rc_))                                                    \
            test_fail("%s: %d (%s)", #call, rc_, ipc_error_detail());          \
    } while (0)

/* Along the chain, as far as it can be believed. */
static struct link *some_link(struct ipc__visit *v, int place)
{
    const struct chain *chain = ipc__at(v, chain_offset(arena), sizeof *chain);
    struct link *link = NULL;
    uint64_t at = chain != NULL ? chain->first : 0;
    for (; at != 0 && place >= 0; place--) {
        link = ipc__at(v, at, sizeof *link);
        if (link == NULL)
            return NULL;
        at = link->next;
    }
    return link;
}

static void change_some(struct ipc__visit *v)
{
    for (uint64_t size = 1; size < 3000; size = 3 * size) {
        const uint64_t made = ipc__alloc(v, size);
        void *memory = made != 0 ? ipc__at(v, made, size) : NULL;
        if (memory != NULL)
            memset(memory, 0x77, size);
        else
            assert_true(v->rc < 0);
    }
    struct link *link = some_link(v, 5);
    const uint64_t size =
        link != NULL ? ipc__block_size(v, ipc__offset(v, link)) : 0;
    if (size >= sizeof *link && ipc__journal_room(v, size / 8, 1) == 0) {
        ipc__save(v, link, size / 8);
        memset(link->text, 0x33, (size - sizeof *link) / 8 * 8);
    }
}

static void park_some(struct ipc__visit *v)
{
    for (int place = 0; place < 12; place += 3) {
        struct link *link = some_link(v, place);
        if (link == NULL)
            return;
        const uint64_t next = link->next;
        ipc__put64(v, &link->next, 0);
        if (next != 0)
            ipc__park(v, next, IPC__PARKED_BLOCK);
    }
}

static void visit(void (*fn)(struct ipc__visit *v), bool fail)
{
    struct ipc__visit v;
    const int rc = ipc__arena_enter(&v, arena);
    EXPECT(rc);
    if (rc != 0)
        return;
    fn(&v);
    if (fail)
        (void)ipc__visit_fail(&v, -EINVAL, "on purpose");
    EXPECT(ipc__arena_leave(&v));
}

static void use_in_transactions(void)
{
    for (int i = 0; i < 2; i++) {
        const int rc = ipc_atomic_begin(arena);
        EXPECT(rc);
        if (rc != 0)
            return;
        visit(change_some, false);
        visit(park_some, false);
        visit(change_some, true);
        EXPECT(i == 0 ? ipc_atomic_abort(arena) : ipc_atomic_commit(arena));
    }
}

static void use_containers(void)
{
    ipc_list *list = NULL;
    ipc_any value;
    int rc = ipc_arena_list(arena, "numbers", &list);
    EXPECT(rc);
    if (rc != 0)
        return;
    EXPECT(ipc_list_append(list, ipc_str("a string that does not fit in")));
    rc = ipc_list_pop(list, 0, &value);
    EXPECT(rc);
    if (rc == 0)
        ipc_any_free(&value);
    EXPECT(ipc_list_close(list));
}

static void use_part(unsigned part)
{
    ipc_arena_info info = IPC_ARENA_INFO_INIT;
    switch (part % 7) {
    case 0:
        EXPECT(ipc_arena_query(arena, &info));
        break;
    case 1:
        visit(change_some, false);
        break;
    case 2:
        visit(park_some, false);
        break;
    case 3:
        use_containers();
        break;
    case 4:
        visit(change_some, true);
        break;
    case 5:
        use_in_transactions();
        break;
    default:
        EXPECT(ipc_arena_check(arena));
        break;
    }
}

/* Beginning with another part each time: after the first that finds it spoilt
 * the others do not get far. */
static void use_everything(void)
{
    static unsigned first;
    first++;
    for (unsigned i = 0; i < 7; i++)
        use_part(first + i);
    EXPECT(ipc_arena_check(arena));
    if (ipc_lock_is_mine(&arena->lock))
        test_fail("it is still locked");
}

/* ---- every word of the header ---- */

static uint64_t garbage(uint64_t word, int number)
{
    static const uint64_t values[] = {0,
                                      1,
                                      2,
                                      7,
                                      8,
                                      16,
                                      4096,
                                      4104,
                                      0xffffffff,
                                      (uint64_t)1 << 32,
                                      1 << 20,
                                      (uint64_t)1 << 40,
                                      (uint64_t)1 << 63,
                                      UINT64_MAX,
                                      UINT64_MAX - 7,
                                      UINT64_MAX - 15};
    const int count = (int)array_length(values);
    if (number < count)
        return values[number];
    switch (number - count) {
    case 0:
        return word + 1;
    case 1:
        return word + 8;
    case 2:
        return word + 16;
    case 3:
        return word - 16;
    case 4:
        return word + 4096;
    case 5:
        return arena->heap;
    case 6:
        return arena->top;
    case 7:
        return arena->top - 16;
    case 8:
        return chain_of((const ipc_arena *)(const void *)kept)->first;
    case 9:
        return chain_offset(arena) - 8;
    case 10:
        return word ^ (uint64_t)1 << 37;
    default:
        return ~word;
    }
}

enum {
    GARBAGE = 16 + 12,
    FIRST = 1 /* what its owner word may say is tested with locks */
};

static void every_word_of_the_header(void)
{
    make_and_keep();
    for (size_t i = FIRST; i < sizeof(ipc_arena) / 8; i++)
        for (int number = 0; number < GARBAGE; number++) {
            uint64_t *word = (uint64_t *)(void *)arena + i;
            *word = garbage(*word, number);
            use_everything();
            bring_back();
        }
    use_everything();
    assert_int_equal(arena->spoilt, 0);
    bring_back();
    expect_rc(ipc_arena_query(
                  arena, &(ipc_arena_info){.size = sizeof(ipc_arena_info)}),
              0);
    forget();
}

/* While somebody is in a transaction: commit and abort look again. */
static void every_word_in_a_transaction(void)
{
    make_and_keep();
    for (size_t i = FIRST; i < offsetof(ipc_arena, bitmap) / 8; i++)
        for (int number = 0; number < 2 * GARBAGE; number++) {
            uint64_t *word = (uint64_t *)(void *)arena + i;
            expect_rc(ipc_atomic_begin(arena), 0);
            visit(change_some, false);
            *word = garbage(*word, number % GARBAGE);
            if (arena->in_transaction != 0)
                visit(park_some, false);
            const int rc = number < GARBAGE ? ipc_atomic_abort(arena)
                                            : ipc_atomic_commit(arena);
            if (rc != -EPERM) /* in_transaction */
                EXPECT(rc);
            else
                expect_rc(ipc_lock_release(&arena->lock), 0);
            assert_false(ipc_lock_is_mine(&arena->lock));
            bring_back();
        }
    forget();
}

/* ---- random words ---- */

static void scribble(struct test_random *random, uint64_t from, uint64_t to)
{
    uint64_t *words = (uint64_t *)(void *)arena;
    for (long n = test_random_between(random, 1, 6); n > 0; n--) {
        const long i =
            test_random_between(random, (long)from / 8, (long)to / 8 - 1);
        words[i] =
            test_random_between(random, 0, 3) == 0
                ? test_random_next(random)
                : garbage(words[i],
                          (int)test_random_between(random, 0, GARBAGE - 1));
    }
}

static void random_words_of_the_heap(void)
{
    struct test_random random = {test_seed()};
    make_and_keep();
    for (long i = 0; i < 8000 * test_scale(); i++) {
        scribble(&random, kept_heap - 8, kept_bytes);
        use_everything();
        bring_back();
    }
    forget();
}

static void random_words_anywhere(void)
{
    struct test_random random = {test_seed()};
    make_and_keep();
    for (long i = 0; i < 8000 * test_scale(); i++) {
        scribble(&random, sizeof(uint64_t) * FIRST, sizeof(ipc_arena));
        scribble(&random, kept_heap - 8, kept_bytes);
        use_everything();
        bring_back();
    }
    forget();
}

/* ---- what the dead have left ---- */

static void leave_a_journal(void *arg)
{
    struct test_random random = {*(const uint64_t *)arg};
    expect_rc(ipc_atomic_begin(arena), 0);
    visit(change_some, false);
    visit(park_some, false);
    const uint64_t end = IPC__JOURNAL_AT + 8 * arena->saved;
    for (int i = 0; i < 3; i++) {
        scribble(&random, IPC__JOURNAL_AT, end);
        if (test_random_between(&random, 0, 3) == 0)
            arena->saved =
                garbage(arena->saved,
                        (int)test_random_between(&random, 0, GARBAGE - 1));
    }
    (void)raise(SIGKILL);
}

static void journals_of_the_dead(void)
{
    struct test_random random = {test_seed()};
    uint64_t *seed = test_shared(sizeof *seed);
    long spoilt = 0;
    make_and_keep();
    for (long i = 0; i < 300 * test_scale(); i++) {
        *seed = test_random_next(&random);
        assert_int_equal(role_try(leave_a_journal, seed, LIMIT_MS),
                         ROLE_SIGNAL + SIGKILL);
        use_everything();
        spoilt += arena->spoilt != 0;
        bring_back();
    }
    test_report("spoilt", spoilt);
    forget();
}

/* Whoever finds it spoilt says so to all, until it is ended. */
static void once_spoilt_always_spoilt(void)
{
    struct ipc__visit v;
    make_and_keep();
    expect_rc(ipc__arena_enter(&v, arena), 0);
    assert_null(ipc__at(&v, arena->top, 8));
    assert_null(ipc__at(&v, 0, 8));
    assert_null(ipc__at(&v, 8, 8));
    assert_null(ipc__at(&v, arena->heap + 1, 8));
    assert_null(ipc__at(&v, arena->heap, UINT64_MAX));
    assert_null(ipc__at(&v, UINT64_MAX - 7, 16));
    expect_rc(ipc__arena_leave(&v), -EUCLEAN);
    expect_rc(ipc__arena_enter(&v, arena), -EUCLEAN);
    expect_rc(ipc_atomic_begin(arena), -EUCLEAN);
    expect_rc(ipc_arena_check(arena), -EUCLEAN);
    expect_rc(ipc_arena_query(
                  arena, &(ipc_arena_info){.size = sizeof(ipc_arena_info)}),
              -EUCLEAN);
    bring_back();
    expect_rc(ipc_atomic_begin(arena), 0);
    visit(change_some, false);
    arena->spoilt = 1;
    expect_rc(ipc_atomic_commit(arena), -EUCLEAN);
    expect_rc(ipc_atomic_commit(arena), -EPERM);
    forget();
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(every_word_of_the_header, 120),
    TEST_CASE_LIMIT(every_word_in_a_transaction, 120),
    TEST_CASE_LIMIT(random_words_of_the_heap, 120),
    TEST_CASE_LIMIT(random_words_anywhere, 120),
    TEST_CASE_LIMIT(journals_of_the_dead, 60),
    TEST_CASE(once_spoilt_always_spoilt),
};
TEST_MAIN(cases)
