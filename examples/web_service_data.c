#include "web_service_data.h"

#include <curl/curl.h>
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    TEXT = 256 /* the longest that is read */
};

/* ---- the file ---- */

static int make_file(const char *path)
{
    FILE *file = fopen(path, "we");

    if (file == NULL)
        return -errno;
    fprintf(file, "file result\n");
    return fclose(file) == 0 ? 0 : -errno;
}

int data_read_file(const void *arg, void *result, ipc_task *task)
{
    const struct data *data = arg;
    char line[TEXT];
    FILE *file = fopen(data->file, "re");
    char *got;

    (void)result;
    if (file == NULL)
        return ipc_task_fail(task, -errno, "%s", data->file);
    got = fgets(line, sizeof line, file);
    fclose(file);
    if (got == NULL)
        return ipc_task_fail(task, -ENODATA, "%s is empty", data->file);
    return ipc_task_return(task, line, strcspn(line, "\n"));
}

/* ---- the database ---- */

static int make_db(const char *path)
{
    sqlite3 *db = NULL;
    int code = sqlite3_open(path, &db);

    if (code == SQLITE_OK)
        code = sqlite3_exec(db,
                            "CREATE TABLE results (name TEXT, value TEXT);"
                            "INSERT INTO results VALUES ('db', 'db result');",
                            NULL, NULL, NULL);
    sqlite3_close(db);
    return code == SQLITE_OK ? 0 : -EIO;
}

static int read_row(sqlite3 *db, ipc_task *task)
{
    static const char select[] = "SELECT value FROM results WHERE name = ?";
    sqlite3_stmt *row = NULL;
    int rc;

    if (sqlite3_prepare_v2(db, select, -1, &row, NULL) != SQLITE_OK ||
        sqlite3_bind_text(row, 1, "db", -1, SQLITE_STATIC) != SQLITE_OK ||
        sqlite3_step(row) != SQLITE_ROW)
        rc = ipc_task_fail(task, -EIO, "%s", sqlite3_errmsg(db));
    else
        rc = ipc_task_return(task, sqlite3_column_text(row, 0),
                             (size_t)sqlite3_column_bytes(row, 0));
    sqlite3_finalize(row);
    return rc;
}

int data_read_db(const void *arg, void *result, ipc_task *task)
{
    const struct data *data = arg;
    sqlite3 *db = NULL;
    int rc;

    (void)result;
    if (sqlite3_open_v2(data->db, &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK)
        rc = ipc_task_fail(task, -EIO, "%s", sqlite3_errmsg(db));
    else
        rc = read_row(db, task);
    sqlite3_close(db);
    return rc;
}

/* ---- the other service ---- */

struct answer {
    char text[TEXT];
    size_t bytes;
};

/* Less than it was given: that was too much. */
static size_t receive(char *bytes, size_t size, size_t n, void *arg)
{
    struct answer *answer = arg;

    n *= size;
    if (n > sizeof answer->text - answer->bytes)
        return 0;
    memcpy(answer->text + answer->bytes, bytes, n);
    answer->bytes += n;
    return n;
}

int data_read_api(const void *arg, void *result, ipc_task *task)
{
    const struct data *data = arg;
    CURL *curl = curl_easy_init();
    struct answer answer = {.bytes = 0};
    CURLcode code;

    (void)result;
    if (curl == NULL)
        return -ENOMEM;
    curl_easy_setopt(curl, CURLOPT_URL, data->api);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer);
    curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L); /* other threads */
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, 4L);
    code = curl_easy_perform(curl);
    curl_easy_cleanup(curl);
    if (code != CURLE_OK)
        return ipc_task_fail(task, -EIO, "%s: %s", data->api,
                             curl_easy_strerror(code));
    return ipc_task_return(task, answer.text, answer.bytes);
}

/* ---- all of them ---- */

int data_make(struct data *data, uint16_t port)
{
    const char *tmp = getenv("TMPDIR");
    int rc;

    if (tmp == NULL || *tmp == '\0')
        tmp = "/tmp";
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return -ENOMEM;
    if (snprintf(data->folder, sizeof data->folder, "%s/web_service-XXXXXX",
                 tmp) >= (int)sizeof data->folder)
        return -ENAMETOOLONG;
    if (mkdtemp(data->folder) == NULL)
        return -errno;
    snprintf(data->file, sizeof data->file, "%s/result.txt", data->folder);
    snprintf(data->db, sizeof data->db, "%s/results.db", data->folder);
    snprintf(data->api, sizeof data->api, "http://127.0.0.1:%u/api", port);
    rc = make_file(data->file);
    if (rc == 0)
        rc = make_db(data->db);
    if (rc < 0)
        data_remove(data);
    return rc;
}

void data_remove(const struct data *data)
{
    unlink(data->file);
    unlink(data->db);
    rmdir(data->folder);
    curl_global_cleanup();
}
