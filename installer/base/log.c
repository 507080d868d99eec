/* The log: one write(2) a line, so that lines of two processes on one stderr never mix.
 * A line has a fixed buffer: a log line that needs memory is missing when it matters.
 * Values come from files and other programs, so control characters never reach a terminal
 * and bytes that are no UTF-8 never reach a JSON reader. */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "kontain/base/log.h"
#include "kontain/base/utf8.h"

#define LINE_MAX_BYTES  8192
#define VALUE_MAX_BYTES 1536 /* of output for one value; a longer one ends in "..." */

struct line {
	char bytes[LINE_MAX_BYTES];
	size_t size;
};

static struct {
	const char *program;
	enum kt_log_level most;
	bool is_terminal;
} log_state = {.program = "kontain", .most = KT_LOG_INFO, .is_terminal = true};

static const char *const level_names[] = {"error", "warn", "info", "debug"};

void kt_log_init(const char *program, enum kt_log_level most)
{
	log_state.program = program;
	log_state.most = most;
	log_state.is_terminal = isatty(STDERR_FILENO) == 1;
}

/* Room is kept for what must end a line: quote, brace, newline. */
static bool line_put(struct line *line, const char *bytes, size_t size)
{
	if (size > sizeof(line->bytes) - 8 - line->size)
		return false;
	memcpy(line->bytes + line->size, bytes, size);
	line->size += size;
	return true;
}

static void line_end(struct line *line, const char *text)
{
	size_t size = strlen(text);

	memcpy(line->bytes + line->size, text, size);
	line->size += size;
}

/* Puts a value with JSON's escapes, which read well in text too. */
static void line_escape(struct line *line, const char *value)
{
	size_t stop = line->size + VALUE_MAX_BYTES;

	while (*value) {
		unsigned char byte = (unsigned char)*value;
		size_t length = kt_utf8_length(value);
		char escape[8];

		if (line->size > stop) {
			(void)line_put(line, "...", 3);
			return;
		}
		if (length == 0)
			(void)line_put(line, "?", 1);
		else if (byte == '"' || byte == '\\')
			(void)line_put(line, escape, (size_t)snprintf(escape, sizeof(escape), "\\%c", byte));
		else if (byte == '\n')
			(void)line_put(line, "\\n", 2);
		else if (byte < 0x20 || byte == 0x7f)
			(void)line_put(line, escape, (size_t)snprintf(escape, sizeof(escape), "\\u%04x", byte));
		else
			(void)line_put(line, value, length);
		value += length ? length : 1;
	}
}

static void line_pair_json(struct line *line, const char *key, const char *value)
{
	size_t before = line->size;
	bool is_bare = *key == *KT_LOG_BARE("");

	key += is_bare;
	if (!line_put(line, before == 0 ? "{\"" : ",\"", 2) || !line_put(line, key, strlen(key)) ||
	    !line_put(line, is_bare ? "\":" : "\":\"", is_bare ? 2 : 3)) {
		line->size = before;
		return;
	}
	line_escape(line, value);
	if (!is_bare)
		line_end(line, "\"");
	if (line->size > sizeof(line->bytes) - 8) /* full: better no pair than an unclosed line */
		line->size = before;
}

static void line_pair_text(struct line *line, const char *key, const char *value)
{
	key += *key == *KT_LOG_BARE("");

	bool is_word = *value && !strpbrk(value, " \t\r\n\"\\=");

	if (!line_put(line, " ", 1) || !line_put(line, key, strlen(key)) ||
	    !line_put(line, is_word ? "=" : "=\"", is_word ? 1 : 2))
		return;
	line_escape(line, value);
	if (!is_word)
		(void)line_put(line, "\"", 1);
}

static void line_start(struct line *line, enum kt_log_level level, const char *event)
{
	char stamp[40] = "";
	struct timespec now = {.tv_sec = 0};
	struct tm parts;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	if (!log_state.is_terminal) {
		size_t used = gmtime_r(&now.tv_sec, &parts) ? strftime(stamp, 24, "%Y-%m-%dT%H:%M:%S", &parts) : 0;

		(void)snprintf(stamp + used, sizeof(stamp) - used, ".%03ldZ", now.tv_nsec / 1000000);
		line_pair_json(line, "ts", stamp);
		line_pair_json(line, "level", level_names[level]);
		line_pair_json(line, "program", log_state.program);
		line_pair_json(line, "msg", event);
		return;
	}
	if (localtime_r(&now.tv_sec, &parts))
		(void)strftime(stamp, sizeof(stamp), "%H:%M:%S ", &parts);
	(void)line_put(line, stamp, strlen(stamp));
	(void)line_put(line, log_state.program, strlen(log_state.program));
	(void)line_put(line, ": ", 2);
	if (level <= KT_LOG_WARN) {
		(void)line_put(line, level_names[level], strlen(level_names[level]));
		(void)line_put(line, ": ", 2);
	}
	line_escape(line, event);
}

void kt_log(enum kt_log_level level, const char *event, ...)
{
	struct line line = {.size = 0};
	const char *key;
	va_list args;

	if (level > log_state.most)
		return;
	line_start(&line, level, event);
	va_start(args, event);
	while ((key = va_arg(args, const char *))) {
		const char *value = va_arg(args, const char *);

		if (!value)
			continue;
		if (log_state.is_terminal)
			line_pair_text(&line, key, value);
		else
			line_pair_json(&line, key, value);
	}
	va_end(args);
	line_end(&line, log_state.is_terminal ? "\n" : "}\n");
	/* A log that cannot be written has nowhere to say so. */
	(void)!write(STDERR_FILENO, line.bytes, line.size);
}
