/* Signals: those that the monitor is sent are its payload's, and a payload that dies by one takes the monitor along. */
#ifndef SIGNALS_H
#define SIGNALS_H

#include "guest.h"

/* From here on a signal waits until the payload comes out of its guest by itself. */
void signals_forward(void);
/* One that waits and ends the payload; 0 when there is none. */
int signals_take(void);
/* Ends the payload and then the monitor by that signal; those that are a fault of the program leave ./kmcore. */
void signals_die(const struct guest *guest, int number) __attribute__((noreturn));

#endif
