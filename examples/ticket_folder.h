/* A temporary folder for tickets.json and the files that belong to it. */
#ifndef TICKET_FOLDER_H
#define TICKET_FOLDER_H

/* Make the folder in $TMPDIR or /tmp, and see to it that it goes when the
 * program is interrupted.  Returns the path of tickets.json in it, or NULL
 * when a line on stderr has said why not. */
const char *ticket_folder_make(void);

/* Remove it with all that is in it, if it was made. */
void ticket_folder_remove(void);

#endif
