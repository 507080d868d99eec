/* One fall, or two, are an accident or a repair and cost nothing. More of them within a few minutes are a fault that
 * comes and goes: each return then has to hold for longer, up to a bound, so that a node which got well is believed in
 * the end. A fall while a return waits counts like any other. */
#include "damping.h"

#include <string.h>

/* falls within the window -> how long the next return must hold */
static const struct {
	size_t falls;
	unsigned hold_s;
} holds[] = {{6, 300}, {5, 120}, {4, 60}, {3, 30}, {0, 0}};

static unsigned hold_after(size_t falls)
{
	size_t i = 0;

	while (falls < holds[i].falls)
		i++;
	return holds[i].hold_s;
}

static void forget_oldest(struct kt_steady *steady, size_t count)
{
	steady->fall_count -= count;
	memmove(steady->falls_ms, steady->falls_ms + count, steady->fall_count * sizeof *steady->falls_ms);
}

static void forget_old(struct kt_steady *steady, int64_t now_ms)
{
	size_t old = 0;

	while (old < steady->fall_count && now_ms - steady->falls_ms[old] >= KT_STEADY_WINDOW_MS)
		old++;
	forget_oldest(steady, old);
}

static void fall(struct kt_steady *steady, int64_t now_ms)
{
	if (steady->fall_count == KT_STEADY_FALLS_MAX)
		forget_oldest(steady, 1);
	steady->falls_ms[steady->fall_count++] = now_ms;
}

static void hold(struct kt_steady *steady, int64_t now_ms)
{
	steady->hold_s = hold_after(steady->fall_count);
	steady->hold_until_ms = now_ms + (int64_t)steady->hold_s * 1000;
}

bool kt_steady_is_shaky(const struct kt_steady *steady)
{
	return !steady->is_shown && hold_after(steady->fall_count) > 0;
}

bool kt_steady_take(struct kt_steady *steady, bool is_so, bool is_disturbed, int64_t now_ms)
{
	bool show;

	forget_old(steady, now_ms);
	if (steady->has_seen && steady->was_so && !is_so)
		fall(steady, now_ms);
	if (is_so && (!steady->was_so || (is_disturbed && steady->hold_s > 0))) {
		hold(steady, now_ms);
		if (!steady->was_so && steady->hold_s > 0)
			steady->held_count++;
	}
	if (!is_so || now_ms >= steady->hold_until_ms)
		steady->hold_s = 0;
	show = is_so && steady->hold_s == 0;
	if (steady->has_seen && show != steady->is_shown)
		steady->change_count++;
	steady->has_seen = true;
	steady->was_so = is_so;
	steady->is_shown = show;
	return show;
}
