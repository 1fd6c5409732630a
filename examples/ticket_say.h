/* Lines for people, from several processes at once. */
#ifndef TICKET_SAY_H
#define TICKET_SAY_H

/* Print one line, newline added, by one write(): lines of other processes go
 * before or after it, never into it.  Control characters that came from a
 * file or a file name are shown as '?', so that it stays one line. */
__attribute__((format(printf, 2, 3))) void say(int fd, const char *format, ...);

/* Say on stderr who failed ("" is nobody in particular) and at what.
 * Returns -1, for the caller to return. */
int complain(const char *who, const char *what);

/* The same about a result of the library, with its error detail. */
int complain_result(const char *who, const char *what, int result);

#endif
