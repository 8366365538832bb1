/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Functions that return what a KUnit test says instead of doing anything, for
 * tests that have to see what becomes of a failure.
 *
 * Unlike static stubs, this takes any function that a kprobe can be set on, which
 * need not know of the test. It returns at once, so that nothing is done, and what
 * it has pointers to stays as it was.
 */

#ifndef _KUNIT_OVERRIDE_H
#define _KUNIT_OVERRIDE_H

#include <kunit/test.h>
#include <linux/error-injection.h>
#include <linux/kprobes.h>
#include <linux/ptrace.h>
#include <linux/sched.h>

/**
 * struct kunit_calls - Calls of functions that a test overrides
 * @task: the task that makes them, or NULL while none is overridden
 * @nth: the one that kunit_override_nth() is about, or 0 for none
 * @nr: how many of those there have been
 *
 * The functions look at it until the test is cleaned up, so it must not be on the
 * stack of the test: allocate it with kunit_kzalloc(), before the first override.
 */
struct kunit_calls {
	struct task_struct *task;
	unsigned int nth;
	unsigned int nr;
};

/**
 * kunit_begin_calls() - Override calls of this task from now on
 * @calls: which calls
 * @nth: the one that functions of kunit_override_nth() do not do, counted from 1
 *       over all of them, or 0 for none
 */
static inline void kunit_begin_calls(struct kunit_calls *calls, unsigned int nth)
{
	calls->nth = nth;
	calls->nr = 0;
	WRITE_ONCE(calls->task, current);
}

/**
 * kunit_end_calls() - Override no calls any more
 * @calls: which calls
 *
 * Return: whether there was an nth call, as kunit_begin_calls() was asked for.
 */
static inline bool kunit_end_calls(struct kunit_calls *calls)
{
	WRITE_ONCE(calls->task, NULL);

	return calls->nr >= calls->nth;
}

#if defined(CONFIG_FUNCTION_ERROR_INJECTION) && !defined(MODULE)

/**
 * struct kunit_override - A function that returns what a test says
 * @kprobe: what is called in its place
 * @calls: which calls are overridden
 * @every: every one of them is, not only the nth
 * @value: what it returns then
 */
struct kunit_override {
	struct kprobe kprobe;
	struct kunit_calls *calls;
	bool every;
	unsigned long value;
};

static inline int kunit_override_call(struct kprobe *kprobe, struct pt_regs *regs)
{
	struct kunit_override *override =
		container_of(kprobe, struct kunit_override, kprobe);
	struct kunit_calls *calls = override->calls;

	/*
	 * Where a kprobe is an NMI, a hard interrupt cannot be told from the task
	 * below it, so its calls count, too.
	 */
	if (current != READ_ONCE(calls->task) || in_serving_softirq())
		return 0;
	if (!override->every && ++calls->nr != calls->nth)
		return 0;

	regs_set_return_value(regs, override->value);
	override_function_with_return(regs);
	return 1;
}

/* With this the kprobe is not optimised to a jump, which cannot override. */
static inline void kunit_override_nothing_more(struct kprobe *kprobe,
					       struct pt_regs *regs,
					       unsigned long flags)
{
}

static inline void kunit_remove_override(void *data)
{
	struct kunit_override *override = data;

	unregister_kprobe(&override->kprobe);
}

static inline struct kunit_override *
kunit_add_override(struct kunit *test, struct kunit_calls *calls, bool every,
		   const char *function, unsigned long value)
{
	struct kunit_override *override;
	int ret;

	override = kunit_kzalloc(test, sizeof(*override), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, override);
	override->kprobe.symbol_name = function;
	override->kprobe.pre_handler = kunit_override_call;
	override->kprobe.post_handler = kunit_override_nothing_more;
	override->calls = calls;
	override->every = every;
	override->value = value;
	ret = register_kprobe(&override->kprobe);
	if (ret == -ENOENT)
		kunit_skip(test, "%s() is no function of this kernel", function);
	KUNIT_ASSERT_EQ_MSG(test, 0, ret, "%s", function);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, kunit_remove_override,
						  override));

	return override;
}

/**
 * kunit_end_override() - Let a function do again what it is there for
 * @test: the test
 * @override: what kunit_override_nth() or kunit_override_every() returned
 *
 * The end of the test does the same.
 */
static inline void kunit_end_override(struct kunit *test,
				      struct kunit_override *override)
{
	kunit_release_action(test, kunit_remove_override, override);
}

#else

struct kunit_override;

static inline struct kunit_override *
kunit_add_override(struct kunit *test, struct kunit_calls *calls, bool every,
		   const char *function, unsigned long value)
{
	kunit_skip(test, "needs FUNCTION_ERROR_INJECTION, and to be built in");
}

static inline void kunit_end_override(struct kunit *test,
				      struct kunit_override *override)
{
}

#endif

/**
 * kunit_override_nth() - Have one call return what the test says
 * @test: the test, which is skipped in a module, where this cannot be done, without
 *        CONFIG_FUNCTION_ERROR_INJECTION, and if there is no such function
 * @calls: which call; the same for all functions that are counted together
 * @function: the function, which must not be inlined
 * @value: what it returns, if that fits into an unsigned long
 *
 * Return: the override, for kunit_end_override().
 */
static inline struct kunit_override *
kunit_override_nth(struct kunit *test, struct kunit_calls *calls,
		   const char *function, unsigned long value)
{
	return kunit_add_override(test, calls, false, function, value);
}

/**
 * kunit_override_every() - Have every call return what the test says
 * @test: the test, see kunit_override_nth()
 * @calls: which calls, those of its task; the nth is that of other functions
 * @function: the function, which must not be inlined
 * @value: what it returns, if that fits into an unsigned long
 *
 * Return: the override, for kunit_end_override().
 */
static inline struct kunit_override *
kunit_override_every(struct kunit *test, struct kunit_calls *calls,
		     const char *function, unsigned long value)
{
	return kunit_add_override(test, calls, true, function, value);
}

#endif /* _KUNIT_OVERRIDE_H */
