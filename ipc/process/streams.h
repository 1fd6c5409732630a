/* Output that waits in the buffers of stdio. */
#ifndef IPC_PROCESS_STREAMS_H
#define IPC_PROCESS_STREAMS_H

/* Before a fork: write out what the child would write once more. */
void ipc__flush_all(void);

/* In a child: forget what the parent had printed and not written out yet; it
 * will do so itself. */
void ipc__drop_inherited(void);

/* At the end of a child: write out what it has printed, if anything. */
void ipc__flush_pending(void);

#endif
