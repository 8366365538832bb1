// SPDX-License-Identifier: GPL-2.0
/*
 * Does on purpose what each sanitizer is there to find. A run without a report is
 * worth something only if these are reported; see harness/sanitizers.py.
 */

#include <linux/gfp.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/timer.h>

static DEFINE_MUTEX(first);
static DEFINE_MUTEX(second);
static DEFINE_SPINLOCK(spinlock);
static void *leak;
static int array[4], shared;

/* The compiler does not know these. */
static volatile int eight = 8, forty = 40;

/* As a device does it: nothing looks at the access itself. */
static noinline __no_sanitize_address void write_silently(u8 *where)
{
	WRITE_ONCE(where[5], 1);
}

static void out_of_bounds(void)
{
	u8 *memory = kmalloc(eight, GFP_KERNEL);

	if (memory)
		WRITE_ONCE(memory[eight], 1);
	kfree(memory);
}

static void shift(void)
{
	WRITE_ONCE(shared, 1 << forty);
}

static void bounds(void)
{
	/* What lies behind the array is not written to. */
	READ_ONCE(array[eight]);
}

static void freed_page(void)
{
	struct page *page = alloc_page(GFP_KERNEL), *again[16] = {};
	int i;

	if (!page)
		return;
	__free_page(page);
	write_silently(page_address(page));
	for (i = 0; i < ARRAY_SIZE(again); i++)
		again[i] = alloc_page(GFP_KERNEL);
	for (i = 0; i < ARRAY_SIZE(again); i++)
		if (again[i])
			__free_page(again[i]);
}

static void freed_object(void)
{
	u8 *memory = kmalloc(200, GFP_KERNEL), *again[32] = {};
	int i;

	if (!memory)
		return;
	kfree(memory);
	write_silently(memory + 100);
	for (i = 0; i < ARRAY_SIZE(again); i++)
		again[i] = kmalloc(200, GFP_KERNEL);
	for (i = 0; i < ARRAY_SIZE(again); i++)
		kfree(again[i]);
}

static void never(struct timer_list *timer)
{
}

static void active_timer(void)
{
	struct timer_list *timer = kmalloc(sizeof(*timer), GFP_KERNEL);

	if (!timer)
		return;
	timer_setup(timer, never, 0);
	mod_timer(timer, jiffies + 3600 * HZ);
	kfree(timer);
}

static void sleeps_in_atomic_context(void)
{
	spin_lock(&spinlock);
	might_sleep();
	spin_unlock(&spinlock);
}

static int add(void *unused)
{
	while (!kthread_should_stop()) {
		shared++;
		cond_resched();
	}
	return 0;
}

static void race(void)
{
	struct task_struct *task = kthread_run(add, NULL, "control");
	unsigned long end = jiffies + 5 * HZ;

	if (IS_ERR(task))
		return;
	while (time_before(jiffies, end)) {
		shared++;
		cond_resched();
	}
	kthread_stop(task);
}

static void locks_in_both_orders(void)
{
	mutex_lock(&first);
	mutex_lock(&second);
	mutex_unlock(&second);
	mutex_unlock(&first);

	mutex_lock(&second);
	mutex_lock(&first);
	mutex_unlock(&first);
	mutex_unlock(&second);
}

static void leaks(void)
{
	leak = kmalloc(100, GFP_KERNEL);
	leak = NULL;
}

/* Lockdep comes first: what most others report turns it off, as its own report does. */
static const struct {
	const char *name;
	void (*does)(void);
} defects[] = {
	{ "locks", locks_in_both_orders },
	{ "out of bounds", out_of_bounds },
	{ "shift", shift },
	{ "bounds", bounds },
	{ "freed page", freed_page },
	{ "freed object", freed_object },
	{ "active timer", active_timer },
	{ "sleep", sleeps_in_atomic_context },
	{ "leak", leaks },
	{ "race", race },
};

static int __init control_init(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(defects); i++) {
		pr_info("control: begin %s\n", defects[i].name);
		defects[i].does();
		pr_info("control: end %s\n", defects[i].name);
	}
	return 0;
}
module_init(control_init);

static void __exit control_exit(void)
{
}
module_exit(control_exit);

MODULE_DESCRIPTION("Does what each sanitizer is there to find");
MODULE_LICENSE("GPL");
