/* The three things that the web service reads, and the tasks that read them:
 * each takes a struct data, and gives back a text. */
#ifndef WEB_SERVICE_DATA_H
#define WEB_SERVICE_DATA_H

#include <ipc/pool.h>

#include <stdint.h>

struct data {
    char folder[200];
    char file[240];
    char db[240];
    char api[40]; /* the address of the other service */
};

/* Make file and database in a temporary folder; port is where the other service
 * listens.  Returns 0 or a negative errno. */
int data_make(struct data *data, uint16_t port);
void data_remove(const struct data *data);

ipc_task_function data_read_file;
ipc_task_function data_read_db;
ipc_task_function data_read_api;

#endif
