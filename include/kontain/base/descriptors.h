/* The descriptors that a process starts with. */
#ifndef KONTAIN_DESCRIPTORS_H
#define KONTAIN_DESCRIPTORS_H

/* For the start of main: 0-2 are open (on /dev/null where they were closed), and what a parent left open beyond them is
 * closed. Returns 0 or -errno. */
int kt_descriptors_settle(void);

/* Closes first and all above it. */
void kt_descriptors_close(unsigned first);

#endif
