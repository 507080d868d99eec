/* One event, one line on stderr: text on a terminal, a JSON object otherwise.
 * {"ts": RFC 3339 with milliseconds, "level", "program", "msg": the event, and what belongs to it}.
 * The loop and main log; libraries return. Keys are the same everywhere:
 * version= step= reason= err= path= */
#ifndef KONTAIN_LOG_H
#define KONTAIN_LOG_H

enum kt_log_level { KT_LOG_ERROR, KT_LOG_WARN, KT_LOG_INFO, KT_LOG_DEBUG };

/* program is borrowed for good. */
void kt_log_init(const char *program, enum kt_log_level most);

/* The text of this pair's value is a JSON number, true or false. */
#define KT_LOG_BARE(key) "#" key

/* kt_log(KT_LOG_INFO, "landed", "version", v, KT_LOG_BARE("percent"), "100", NULL): pairs of borrowed strings,
 * a pair with a NULL value is left out. */
void kt_log(enum kt_log_level level, const char *event, ...) __attribute__((sentinel));

#endif
