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

static void forget_oldest(struct kt_damping *damping, size_t count)
{
	damping->fall_count -= count;
	memmove(damping->falls_ms, damping->falls_ms + count, damping->fall_count * sizeof *damping->falls_ms);
}

static void forget_old(struct kt_damping *damping, int64_t now_ms)
{
	size_t old = 0;

	while (old < damping->fall_count && now_ms - damping->falls_ms[old] >= KT_DAMPING_WINDOW_MS)
		old++;
	forget_oldest(damping, old);
}

static void fall(struct kt_damping *damping, int64_t now_ms)
{
	if (damping->fall_count == KT_DAMPING_FALLS_MAX)
		forget_oldest(damping, 1);
	damping->falls_ms[damping->fall_count++] = now_ms;
}

static void hold(struct kt_damping *damping, int64_t now_ms)
{
	damping->hold_s = hold_after(damping->fall_count);
	damping->hold_until_ms = now_ms + (int64_t)damping->hold_s * 1000;
}

bool kt_damping_is_shaky(const struct kt_damping *damping)
{
	return !damping->is_shown && hold_after(damping->fall_count) > 0;
}

bool kt_damping_take(struct kt_damping *damping, bool is_so, bool is_disturbed, int64_t now_ms)
{
	bool show;

	forget_old(damping, now_ms);
	if (damping->has_seen && damping->was_so && !is_so)
		fall(damping, now_ms);
	if (is_so && (!damping->was_so || (is_disturbed && damping->hold_s > 0))) {
		hold(damping, now_ms);
		if (!damping->was_so && damping->hold_s > 0)
			damping->held_count++;
	}
	if (!is_so || now_ms >= damping->hold_until_ms)
		damping->hold_s = 0;
	show = is_so && damping->hold_s == 0;
	if (damping->has_seen && show != damping->is_shown)
		damping->change_count++;
	damping->has_seen = true;
	damping->was_so = is_so;
	damping->is_shown = show;
	return show;
}
