/* The calls of list.h, dict.h, set.h and namespace.h are the same whether the
 * container is used directly or asked for: each script runs on both, and writes
 * down all that it was told. */
#include "manager/client_support.h"

#include <inttypes.h>
#include <pthread.h>

#include <ipc/time.h>

struct notes {
    char text[16384];
    size_t length;
};

static void note(struct notes *notes, const char *what, int64_t rc)
{
    notes->length += (size_t)snprintf(notes->text + notes->length,
                                      sizeof notes->text - notes->length,
                                      "%s %" PRId64 "\n", what, rc);
    assert_true(notes->length < sizeof notes->text);
}

static void note_any(struct notes *notes, const char *what, ipc_any *value)
{
    char text[200];
    (void)ipc_any_format(value, text, sizeof text);
    notes->length += (size_t)snprintf(notes->text + notes->length,
                                      sizeof notes->text - notes->length,
                                      "%s %s\n", what, text);
    assert_true(notes->length < sizeof notes->text);
    ipc_any_free(value);
}

static void note_all(struct notes *notes, const char *what, ipc_anys *values)
{
    for (size_t i = 0; i < values->count; i++)
        note_any(notes, what, &values->items[i]);
    note(notes, what, (int64_t)values->count);
    ipc_anys_free(values);
}

#define NOTE(call) note(notes, #call, (call))

typedef void script(struct notes *notes, ipc_any *container, ipc_any *other);

static void run_on(ipc_manager *manager, uint32_t type, script *run,
                   uint32_t flags, struct notes *notes)
{
    ipc_manager_object_options options = IPC_MANAGER_OBJECT_OPTIONS_INIT;
    options.flags = flags;
    ipc_any one;
    ipc_any two;
    notes->length = 0;
    IS(ipc_manager_open(manager, type, NULL, &options, &one), 1);
    IS(ipc_manager_open(manager, type, NULL, &options, &two), 1);
    assert_int_equal(ipc_manager_is_direct(manager, &one), flags == 0);
    run(notes, &one, &two);
    ipc_any_free(&one);
    ipc_any_free(&two);
}

/* The first line that is not the same. */
static void compare(const struct notes *direct, const struct notes *served)
{
    size_t line = 0;
    for (size_t i = 0; direct->text[i] == served->text[i]; i++) {
        if (direct->text[i] == '\0')
            return;
        if (direct->text[i] == '\n')
            line = i + 1;
    }
    test_fail("directly: %.*s, served: %.*s",
              (int)strcspn(direct->text + line, "\n"), direct->text + line,
              (int)strcspn(served->text + line, "\n"), served->text + line);
}

static void run_both(uint32_t type, script *run)
{
    static struct notes direct, served;
    ipc_manager *manager = client_start(NULL);
    run_on(manager, type, run, 0, &direct);
    run_on(manager, type, run, IPC_MANAGER_SERVED, &served);
    compare(&direct, &served);
    assert_true(direct.length > 100);
    OK(ipc_manager_close(manager));
}

/* ---- lists ---- */

static void list_values(struct notes *notes, ipc_list *list)
{
    ipc_any value;
    NOTE(ipc_list_append(list, ipc_nil()));
    NOTE(ipc_list_append(list, ipc_bool(true)));
    NOTE(ipc_list_append(list, ipc_i64(INT64_MIN)));
    NOTE(ipc_list_append(list, ipc_u64(UINT64_MAX)));
    NOTE(ipc_list_append(list, ipc_f64(0.5)));
    NOTE(ipc_list_append(list, ipc_str("")));
    NOTE(ipc_list_append(list, ipc_str("short")));
    NOTE(ipc_list_append(list, ipc_str("a string that is longer than most")));
    NOTE(ipc_list_append(list, ipc_bytes("a\0b", 3)));
    NOTE(ipc_list_append(list, ipc_bytes(NULL, 0)));
    for (int i = 0; i < 11; i++) {
        const int rc = ipc_list_get(list, i, &value);
        note(notes, "get", rc);
        if (rc == 0)
            note_any(notes, "get", &value);
    }
}

static void list_changes(struct notes *notes, ipc_list *list)
{
    ipc_any value;
    uint64_t index = 99;
    const ipc_any more[] = {ipc_i64(3), ipc_i64(1), ipc_i64(2)};
    NOTE(ipc_list_clear(list));
    NOTE(ipc_list_extend(list, more, 3));
    NOTE(ipc_list_extend(list, NULL, 0));
    NOTE(ipc_list_insert(list, 0, ipc_i64(9)));
    NOTE(ipc_list_insert(list, -1, ipc_i64(8)));
    NOTE(ipc_list_insert(list, 1000, ipc_i64(7)));
    NOTE(ipc_list_set(list, 1, ipc_str("x")));
    NOTE(ipc_list_set(list, 100, ipc_str("x")));
    NOTE(ipc_list_index(list, ipc_i64(8), 0, INT64_MAX, &index));
    note(notes, "index", (int64_t)index);
    NOTE(ipc_list_index(list, ipc_i64(77), 0, INT64_MAX, &index));
    NOTE(ipc_list_count(list, ipc_i64(8)));
    NOTE(ipc_list_contains(list, ipc_str("x")));
    NOTE(ipc_list_contains(list, ipc_str("y")));
    NOTE(ipc_list_remove(list, ipc_str("x")));
    NOTE(ipc_list_remove(list, ipc_str("x")));
    NOTE(ipc_list_sort(list, 0));
    NOTE(ipc_list_reverse(list));
    NOTE(ipc_list_pop(list, -1, &value));
    note_any(notes, "pop", &value);
    NOTE(ipc_list_pop(list, 100, &value));
    NOTE(ipc_list_replace(list, 0, 2, more, 3));
    NOTE(ipc_list_length(list));
}

static void list_many(struct notes *notes, ipc_list *list)
{
    ipc_anys values;
    ipc_list *copy = NULL;
    int64_t number = 0;
    NOTE(ipc_list_slice(list, 0, INT64_MAX, 1, &values));
    note_all(notes, "slice", &values);
    NOTE(ipc_list_slice(list, -1, INT64_MIN, -2, &values));
    note_all(notes, "slice", &values);
    NOTE(ipc_list_copy(list, &copy));
    NOTE(ipc_list_append_str(copy, "in the copy"));
    NOTE(ipc_list_length(copy));
    NOTE(ipc_list_free(copy));
    NOTE(ipc_list_length(list));
    NOTE(ipc_list_get_i64(list, 0, &number));
    note(notes, "number", number);
    NOTE(ipc_list_append_str(list, "text"));
    NOTE(ipc_list_get_i64(list, -1, &number));
    NOTE(ipc_list_pop_i64(list, -1, &number));
    ipc_list_cursor cursor = {0};
    ipc_any value;
    int rc;
    while ((rc = ipc_list_next(list, &cursor, &value)) == 1)
        note_any(notes, "next", &value);
    note(notes, "next", rc);
}

static void list_nested(struct notes *notes, ipc_list *list, ipc_list *other)
{
    ipc_list *inner = NULL;
    ipc_dict *dict = NULL;
    ipc_any value;
    NOTE(ipc_list_append_list(list, &inner));
    NOTE(ipc_list_append_i64(inner, 1));
    NOTE(ipc_list_append_dict(list, &dict));
    NOTE(ipc_dict_set_i64(dict, "k", 5));
    NOTE(ipc_list_append(list, ipc_any_list(other)));
    NOTE(ipc_list_append(other, ipc_any_list(list)));
    NOTE(ipc_list_append_i64(other, 4));
    NOTE(ipc_list_get(list, -1, &value));
    note(notes, "type", value.type);
    const ipc_any handle = ipc_any_list(other);
    NOTE(ipc_any_compare(&value, &handle));
    NOTE(ipc_list_length(value.list));
    ipc_any_free(&value);
    NOTE(ipc_list_contains(list, ipc_any_list(inner)));
    NOTE(ipc_list_pop(list, -1, NULL));
    NOTE(ipc_list_close(inner));
    NOTE(ipc_dict_close(dict));
}

static void list_script(struct notes *notes, ipc_any *container, ipc_any *other)
{
    list_values(notes, container->list);
    list_changes(notes, container->list);
    list_many(notes, container->list);
    list_nested(notes, container->list, other->list);
    uint64_t version = 0;
    note(notes, "watch",
         ipc_list_watch(container->list, &version, IPC_TIME_FOREVER));
    note(notes, "watch again",
         ipc_list_watch(container->list, &version, ipc_after_ms(1)));
}

static void lists_are_the_same_either_way(void)
{
    run_both(IPC_TYPE_LIST, list_script);
}

/* ---- dicts ---- */

static void dict_values(struct notes *notes, ipc_dict *dict)
{
    ipc_any value;
    const ipc_any five = ipc_i64(5);
    const ipc_any six = ipc_i64(6);
    int64_t sum = 0;
    NOTE(ipc_dict_set(dict, ipc_str("a"), ipc_i64(1)));
    NOTE(ipc_dict_set(dict, ipc_i64(1), ipc_str("one")));
    NOTE(ipc_dict_set(dict, ipc_f64(1.0), ipc_str("also one")));
    NOTE(ipc_dict_get(dict, ipc_str("a"), &value));
    note_any(notes, "get", &value);
    NOTE(ipc_dict_get(dict, ipc_str("b"), &value));
    NOTE(ipc_dict_setdefault(dict, ipc_str("a"), ipc_nil(), &value));
    note_any(notes, "setdefault", &value);
    NOTE(ipc_dict_setdefault(dict, ipc_str("c"), ipc_nil(), NULL));
    NOTE(ipc_dict_contains(dict, ipc_str("c")));
    NOTE(ipc_dict_incr(dict, ipc_str("n"), 5, &sum));
    note(notes, "sum", sum);
    NOTE(ipc_dict_cas(dict, ipc_str("n"), &five, &six));
    NOTE(ipc_dict_cas(dict, ipc_str("n"), &five, &six));
    NOTE(ipc_dict_cas(dict, ipc_str("m"), NULL, &six));
    NOTE(ipc_dict_cas(dict, ipc_str("m"), &six, NULL));
    NOTE(ipc_dict_incr(dict, ipc_str("c"), 5, &sum));
    NOTE(ipc_dict_pop(dict, ipc_str("a"), &value));
    note_any(notes, "pop", &value);
    NOTE(ipc_dict_pop(dict, ipc_str("a"), &value));
    NOTE(ipc_dict_length(dict));
}

static void dict_many(struct notes *notes, ipc_dict *dict, ipc_dict *other)
{
    ipc_anys values;
    ipc_any key;
    ipc_any value;
    ipc_dict *copy = NULL;
    const ipc_dict_item items[] = {{ipc_str("x"), ipc_i64(10)},
                                   {ipc_str("y"), ipc_i64(20)}};
    NOTE(ipc_dict_update(dict, items, 2));
    NOTE(ipc_dict_set_str(other, "z", "zett"));
    NOTE(ipc_dict_merge(dict, other));
    NOTE(ipc_dict_keys(dict, &values));
    note_all(notes, "keys", &values);
    NOTE(ipc_dict_values(dict, &values));
    note_all(notes, "values", &values);
    NOTE(ipc_dict_items(dict, &values));
    note_all(notes, "items", &values);
    NOTE(ipc_dict_copy(dict, &copy));
    NOTE(ipc_dict_clear(copy));
    NOTE(ipc_dict_free(copy));
    ipc_dict_cursor cursor = {0};
    int rc;
    while ((rc = ipc_dict_next(dict, &cursor, &key, &value)) == 1) {
        note_any(notes, "next", &key);
        note_any(notes, "next", &value);
    }
    note(notes, "next", rc);
    NOTE(ipc_dict_popitem(dict, &key, &value));
    note_any(notes, "popitem", &key);
    note_any(notes, "popitem", &value);
}

static void dict_nested(struct notes *notes, ipc_dict *dict)
{
    ipc_list *list = NULL;
    ipc_dict *inner = NULL;
    uint64_t version = 0;
    NOTE(ipc_dict_list(dict, "list", &list));
    NOTE(ipc_list_append_i64(list, 1));
    NOTE(ipc_list_close(list));
    NOTE(ipc_dict_list(dict, "list", &list));
    NOTE(ipc_list_length(list));
    NOTE(ipc_list_close(list));
    NOTE(ipc_dict_dict(dict, "list", &inner));
    NOTE(ipc_dict_dict(dict, "dict", &inner));
    NOTE(ipc_dict_close(inner));
    NOTE(ipc_dict_watch(dict, ipc_str("x"), &version, NULL, IPC_TIME_FOREVER));
    NOTE(ipc_dict_watch(dict, ipc_str("x"), &version, NULL, ipc_after_ms(1)));
    NOTE(ipc_dict_clear(dict));
    NOTE(ipc_dict_length(dict));
}

static void dict_script(struct notes *notes, ipc_any *container, ipc_any *other)
{
    dict_values(notes, container->dict);
    dict_many(notes, container->dict, other->dict);
    dict_nested(notes, container->dict);
}

static void dicts_are_the_same_either_way(void)
{
    run_both(IPC_TYPE_DICT, dict_script);
}

/* ---- sets and namespaces ---- */

static void set_script(struct notes *notes, ipc_any *container, ipc_any *other)
{
    ipc_set *first = container->set;
    ipc_set *second = other->set;
    ipc_set *copy = NULL;
    ipc_any value;
    ipc_anys values;
    uint64_t version = 0;
    const ipc_any members[] = {ipc_i64(1), ipc_str("two"), ipc_i64(3)};
    NOTE(ipc_set_add(first, ipc_i64(1)));
    NOTE(ipc_set_add(first, ipc_i64(1)));
    NOTE(ipc_set_update(first, members, 3));
    NOTE(ipc_set_contains(first, ipc_str("two")));
    NOTE(ipc_set_discard(first, ipc_str("two")));
    NOTE(ipc_set_discard(first, ipc_str("two")));
    NOTE(ipc_set_remove(first, ipc_str("two")));
    NOTE(ipc_set_add(second, ipc_i64(3)));
    NOTE(ipc_set_is_subset(second, first));
    NOTE(ipc_set_is_subset(first, second));
    NOTE(ipc_set_add(second, ipc_i64(4)));
    NOTE(ipc_set_copy(first, &copy));
    NOTE(ipc_set_union(copy, second));
    NOTE(ipc_set_length(copy));
    NOTE(ipc_set_intersect(copy, second));
    NOTE(ipc_set_length(copy));
    NOTE(ipc_set_subtract(copy, second));
    NOTE(ipc_set_length(copy));
    NOTE(ipc_set_free(copy));
    NOTE(ipc_set_members(first, &values));
    note_all(notes, "members", &values);
    ipc_set_cursor cursor = {0};
    int rc;
    while ((rc = ipc_set_next(first, &cursor, &value)) == 1)
        note_any(notes, "next", &value);
    note(notes, "next", rc);
    NOTE(ipc_set_watch(first, &version, IPC_TIME_FOREVER));
    NOTE(ipc_set_watch(first, &version, ipc_after_ms(1)));
    NOTE(ipc_set_clear(first));
    NOTE(ipc_set_pop(first, &value));
}

static void sets_are_the_same_either_way(void)
{
    run_both(IPC_TYPE_SET, set_script);
}

static void namespace_script(struct notes *notes, ipc_any *container,
                             ipc_any *other)
{
    ipc_namespace *names = container->names;
    ipc_any value;
    ipc_anys values;
    int64_t number = 0;
    (void)other;
    NOTE(ipc_namespace_set(names, "x", ipc_i64(1)));
    NOTE(ipc_namespace_set_i64(names, "y", 2));
    NOTE(ipc_namespace_get(names, "x", &value));
    note_any(notes, "get", &value);
    NOTE(ipc_namespace_get(names, "z", &value));
    NOTE(ipc_namespace_get_i64(names, "y", &number));
    note(notes, "number", number);
    NOTE(ipc_namespace_has(names, "x"));
    NOTE(ipc_namespace_names(names, &values));
    note_all(notes, "names", &values);
    NOTE(ipc_namespace_delete(names, "x"));
    NOTE(ipc_namespace_delete(names, "x"));
    NOTE(ipc_namespace_has(names, "x"));
}

static void namespaces_are_the_same_either_way(void)
{
    run_both(IPC_TYPE_NAMESPACE, namespace_script);
}

/* ---- waiting, and what is refused ---- */

static void *append_one(void *arg)
{
    OK(ipc_list_append_i64(arg, 1));
    return NULL;
}

static void who_watches_a_served_list_is_told(void)
{
    ipc_manager *manager = client_start(NULL);
    ipc_list *list = client_served_list(manager, "watched");
    uint64_t version = 0;
    pthread_t thread;
    OK(ipc_list_watch(list, &version, IPC_TIME_FOREVER));
    assert_int_equal(pthread_create(&thread, NULL, append_one, list), 0);
    OK(ipc_list_watch(list, &version, ipc_after_ms(5000)));
    assert_int_equal(pthread_join(thread, NULL), 0);
    IS(ipc_list_length(list), 1);
    OK(ipc_list_close(list));
    OK(ipc_manager_close(manager));
}

static void a_removed_list_is_stale(void)
{
    ipc_manager *manager = client_start(NULL);
    ipc_list *list = client_served_list(manager, "goes");
    ipc_list *inner = NULL;
    OK(ipc_list_append_list(list, &inner));
    OK(ipc_list_append_i64(inner, 1));
    OK(ipc_manager_remove(manager, "goes"));
    IS(ipc_list_append_i64(list, 1), 0);
    OK(ipc_list_close(list));
    IS(ipc_list_length(inner), 1);
    OK(ipc_list_close(inner));
    IS(ipc_manager_number_of_objects(manager), 0);
    OK(ipc_manager_close(manager));
}

static void what_is_no_utf8_goes_as_bytes_only(void)
{
    ipc_manager *manager = client_start(NULL);
    ipc_list *list = client_served_list(manager, "text");
    IS(ipc_list_append(list, ipc_strn("\xff\xfe", 2)), -EILSEQ);
    OK(ipc_list_append(list, ipc_bytes("\xff\xfe", 2)));
    OK(ipc_list_append(list, ipc_strn("a\0b", 3)));
    ipc_any value;
    OK(ipc_list_get(list, -1, &value));
    assert_int_equal(value.size, 3);
    assert_memory_equal(value.str, "a\0b", 4);
    ipc_any_free(&value);
    OK(ipc_list_close(list));
    OK(ipc_manager_close(manager));
}

static void what_does_not_fit_a_frame_says_so(void)
{
    ipc_manager *manager = client_start(NULL);
    ipc_list *list = client_served_list(manager, "large");
    const size_t bytes = 2u << 20;
    char *large = calloc(1, bytes);
    assert_non_null(large);
    IS(ipc_list_append(list, ipc_bytes(large, bytes)), -EMSGSIZE);
    OK(ipc_list_append(list, ipc_bytes(large, bytes / 4)));
    OK(ipc_list_append(list, ipc_bytes(large, bytes / 4)));
    OK(ipc_list_append(list, ipc_bytes(large, bytes / 4)));
    ipc_anys all;
    IS(ipc_list_slice(list, 0, INT64_MAX, 1, &all), -EMSGSIZE);
    ipc_any one;
    OK(ipc_list_get(list, 1, &one));
    assert_int_equal(one.size, bytes / 4);
    ipc_any_free(&one);
    free(large);
    OK(ipc_list_close(list));
    OK(ipc_manager_close(manager));
}

static void handles_of_one_container_are_equal(void)
{
    ipc_manager *manager = client_start(NULL);
    const ipc_any one = ipc_any_list(client_served_list(manager, "same"));
    const ipc_any two = ipc_any_list(client_served_list(manager, "same"));
    const ipc_any other = ipc_any_list(client_served_list(manager, "other"));
    assert_int_equal(ipc_any_compare(&one, &two), 0);
    assert_int_not_equal(ipc_any_compare(&one, &other), 0);
    OK(ipc_list_close(one.list));
    OK(ipc_list_close(two.list));
    OK(ipc_list_close(other.list));
    OK(ipc_manager_close(manager));
}

static const struct test_case cases[] = {
    TEST_CASE(lists_are_the_same_either_way),
    TEST_CASE(dicts_are_the_same_either_way),
    TEST_CASE(sets_are_the_same_either_way),
    TEST_CASE(namespaces_are_the_same_either_way),
    TEST_CASE(who_watches_a_served_list_is_told),
    TEST_CASE(a_removed_list_is_stale),
    TEST_CASE(what_is_no_utf8_goes_as_bytes_only),
    TEST_CASE(what_does_not_fit_a_frame_says_so),
    TEST_CASE(handles_of_one_container_are_equal),
};

TEST_MAIN(cases)
