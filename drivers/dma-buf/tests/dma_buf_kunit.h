/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of the dma-buf core have in common: jobs of a device that use a
 * dma-buf, and threads for what has to wait.
 */

#ifndef _DMA_BUF_KUNIT_H
#define _DMA_BUF_KUNIT_H

#include <kunit/test.h>
#include <linux/dma-buf.h>
#include <linux/dma-fence.h>
#include <linux/dma-resv.h>
#include <linux/kthread.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

static const struct usage_param {
	const char *desc;
	enum dma_resv_usage usage;
} usage_params[] = {
	{ "kernel", DMA_RESV_USAGE_KERNEL },
	{ "write", DMA_RESV_USAGE_WRITE },
	{ "read", DMA_RESV_USAGE_READ },
	{ "bookkeep", DMA_RESV_USAGE_BOOKKEEP },
};

KUNIT_ARRAY_PARAM_DESC(usage, usage_params, desc);

/* A job of some device that uses the memory. */
struct test_fence {
	struct dma_fence base;		/* has to be first, to be freed */
	spinlock_t lock;
};

static inline const char *test_fence_name(struct dma_fence *fence)
{
	return "dma_buf_kunit";
}

static const struct dma_fence_ops test_fence_ops = {
	.get_driver_name = test_fence_name,
	.get_timeline_name = test_fence_name,
};

static inline void end_fence(void *data)
{
	struct test_fence *fence = data;

	if (!dma_fence_is_signaled(&fence->base))
		dma_fence_signal(&fence->base);
	dma_fence_put(&fence->base);
}

/* Add a fence to the dma-buf, which has signalled at the end of the test. */
static inline struct test_fence *add_fence(struct kunit *test,
					   struct dma_buf *dmabuf,
					   enum dma_resv_usage usage)
{
	struct test_fence *fence = kzalloc(sizeof(*fence), GFP_KERNEL);
	int ret;

	KUNIT_ASSERT_NOT_NULL(test, fence);
	spin_lock_init(&fence->lock);
	dma_fence_init(&fence->base, &test_fence_ops, &fence->lock,
		       dma_fence_context_alloc(1), 1);
	ret = kunit_add_action_or_reset(test, end_fence, fence);
	KUNIT_ASSERT_EQ(test, ret, 0);

	dma_resv_lock(dmabuf->resv, NULL);
	ret = dma_resv_reserve_fences(dmabuf->resv, 1);
	if (!ret)
		dma_resv_add_fence(dmabuf->resv, &fence->base, usage);
	dma_resv_unlock(dmabuf->resv);
	KUNIT_ASSERT_EQ(test, ret, 0);

	return fence;
}

static inline void stop_thread(void *data)
{
	kthread_stop_put(data);
}

/* Run a function in a thread, which is waited for at the end of the test. */
static inline struct task_struct *run_thread(struct kunit *test,
					     int (*func)(void *data), void *data)
{
	struct task_struct *task;
	int ret;

	task = kthread_create(func, data, KBUILD_MODNAME);
	KUNIT_ASSERT_FALSE(test, IS_ERR(task));
	get_task_struct(task);
	ret = kunit_add_action_or_reset(test, stop_thread, task);
	KUNIT_ASSERT_EQ(test, ret, 0);
	wake_up_process(task);

	return task;
}

#endif /* _DMA_BUF_KUNIT_H */
