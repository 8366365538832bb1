/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Trace events for KUnit tests that have to see what a function does.
 */

#ifndef _KUNIT_TRACEPOINT_H
#define _KUNIT_TRACEPOINT_H

#include <kunit/test.h>
#include <linux/tracepoint.h>

/**
 * struct kunit_probe - What a test wants to be called for
 * @event: the name of a trace event of the kernel image
 * @func: a function with the arguments of the event, after a pointer of the test
 */
struct kunit_probe {
	const char *event;
	void *func;
};

/* What kunit_probe_events() has to undo. */
struct kunit_probes {
	const struct kunit_probe *probes;
	void *data;
	unsigned int nr;
	struct tracepoint *tp[];
};

/* The event to look for, and where it was found. */
struct kunit_tracepoint {
	const char *event;
	struct tracepoint *tp;
};

static inline void kunit_match_tracepoint(struct tracepoint *tp, void *data)
{
	struct kunit_tracepoint *wanted = data;

	if (!strcmp(tp->name, wanted->event))
		wanted->tp = tp;
}

static inline void kunit_unprobe_events(void *data)
{
	struct kunit_probes *probed = data;

	while (probed->nr--)
		tracepoint_probe_unregister(probed->tp[probed->nr],
					    probed->probes[probed->nr].func,
					    probed->data);
	tracepoint_synchronize_unregister();
}

/**
 * kunit_probe_events() - Have functions called for trace events during a test
 * @test: the test, which fails if there is no such event
 * @probes: the events and functions
 * @nr: the number of @probes
 * @data: the pointer that the functions get before the arguments of the event
 *
 * Most events are not exported to modules, so they are looked up by name.
 */
static inline void kunit_probe_events(struct kunit *test,
				      const struct kunit_probe *probes,
				      unsigned int nr, void *data)
{
	struct kunit_probes *probed;
	unsigned int i;

	probed = kunit_kzalloc(test, struct_size(probed, tp, nr), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, probed);
	probed->probes = probes;
	probed->data = data;
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, kunit_unprobe_events,
						  probed));

	for (i = 0; i < nr; i++) {
		struct kunit_tracepoint wanted = { .event = probes[i].event };

		for_each_kernel_tracepoint(kunit_match_tracepoint, &wanted);
		KUNIT_ASSERT_NOT_NULL_MSG(test, wanted.tp, "no event %s",
					  wanted.event);
		KUNIT_ASSERT_EQ(test, 0,
				tracepoint_probe_register(wanted.tp,
							  probes[i].func, data));
		probed->tp[probed->nr++] = wanted.tp;
	}
}

#endif /* _KUNIT_TRACEPOINT_H */
