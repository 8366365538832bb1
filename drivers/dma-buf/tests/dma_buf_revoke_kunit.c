// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests for revoking the mappings of a dma-buf.
 *
 * An exporter that wants its memory back does this, and afterwards no importer
 * uses the memory:
 *
 *	under the reservation lock	mark the memory as revoked
 *					dma_buf_invalidate_mappings()
 *					dma_resv_wait_timeout(BOOKKEEP)
 *	without				wait for the last unmap
 *
 * The exporter here does that and nothing else. What the tests are about is what
 * it gets for it: from importers of every kind, with fences of every usage, when
 * importers come and go meanwhile, and from two CPUs at once.
 *
 * The memory is either that of the system or that in the BAR of a PCI device.
 * With system memory the tests run everywhere: the importers are devices of
 * KUnit, and their DMA addresses are physical ones without any mapping. Device
 * memory is mapped for real, by dma_buf_phys_vec_to_sgt(). It takes QEMU's
 * ivshmem-plain to provide it, and QEMU's edu, to which it is mapped. They are
 * bound to a driver for as long as the suite runs.
 *
 * No device does DMA. When an importer may do so, its place is taken by the CPU,
 * which goes to where the DMA address leads. That has the importer do its worst
 * at a time that the test chooses.
 */

#include <kunit/device.h>
#include <kunit/dma.h>
#include <kunit/test.h>
#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/dma-buf.h>
#include <linux/dma-buf-mapping.h>
#include <linux/dma-direct.h>
#include <linux/dma-fence.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/file.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/iommu.h>
#include <linux/iommu-dma.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/pci-p2pdma.h>
#include <linux/scatterlist.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/wait_bit.h>
#include <linux/workqueue.h>

#include "dma_buf_kunit.h"

#define PROVIDER_BAR	2

/* More than what the allocator of I/O virtual addresses keeps in its caches. */
#define SIZE		(40 * PAGE_SIZE)

/* Memory can move between so many places. */
#define NR_PLACES	2

#define NR_ROUNDS	50

/* Long enough for a thread that should have waited to get past it. */
#define SOON		msecs_to_jiffies(20)
#define TIMEOUT		(10 * HZ)
#define TOLD_TIMEOUT	(TIMEOUT / 2)

#define OLD_WORD	0x0badcafe
#define NEW_WORD	0x600dcafe

enum memory {
	SYSTEM_MEMORY,
	DEVICE_MEMORY,
};

enum kind {
	DYNAMIC,		/* unmaps when it is told */
	DYNAMIC_LATER,		/* leaves that to a work item */
	PINNED_REVOCABLE,	/* pins, but unmaps when it is told */
	PINNED,			/* cannot be told */
	STATIC,			/* knows nothing of all this */
};

static const struct kind_param {
	const char *desc;
	enum kind kind;
	bool revocable;
} kind_params[] = {
	{ "dynamic", DYNAMIC, true },
	{ "dynamic, unmaps later", DYNAMIC_LATER, true },
	{ "pinned, with callback", PINNED_REVOCABLE, true },
	{ "pinned, without callback", PINNED, false },
	{ "static", STATIC, false },
};

KUNIT_ARRAY_PARAM_DESC(kind, kind_params, desc);

static const struct memory_param {
	const char *desc;
	enum memory memory;
} memory_params[] = {
	{ "system memory", SYSTEM_MEMORY },
	{ "device memory", DEVICE_MEMORY },
};

KUNIT_ARRAY_PARAM_DESC(memory, memory_params, desc);

static const struct revocable_param {
	const char *desc;
	enum memory memory;
	enum kind kind;
} revocable_params[] = {
	{ "system memory, dynamic", SYSTEM_MEMORY, DYNAMIC },
	{ "system memory, dynamic, unmaps later", SYSTEM_MEMORY, DYNAMIC_LATER },
	{ "system memory, pinned", SYSTEM_MEMORY, PINNED_REVOCABLE },
	{ "device memory, dynamic", DEVICE_MEMORY, DYNAMIC },
	{ "device memory, dynamic, unmaps later", DEVICE_MEMORY, DYNAMIC_LATER },
	{ "device memory, pinned", DEVICE_MEMORY, PINNED_REVOCABLE },
};

KUNIT_ARRAY_PARAM_DESC(revocable, revocable_params, desc);

enum step {
	MARKED,
	TOLD,
	SIGNALED,
	UNMAPPED,
	RETURNED,
	NR_STEPS
};

/* What the exporter knows. */
struct buffer {
	struct dma_buf *dmabuf;
	enum memory memory;
	bool only_revocable;		/* importers may attach */
	bool attach_said_revocable;	/* of the last one that did */
	bool released;
	phys_addr_t places[NR_PLACES];
	void __iomem *bar;
	atomic_t mappings;
	struct completion told;		/* all importers */

	/* Under the reservation lock */
	bool revoked;
	unsigned int place;
	unsigned int pins;

	bool returned;			/* the exporter has its memory back */
	atomic_t nr_steps;
	enum step steps[NR_STEPS];
};

struct importer {
	struct list_head node;
	struct buffer *buf;
	enum kind kind;
	struct device *dev;
	struct dma_buf_attachment *attach;
	struct work_struct work;	/* of DYNAMIC_LATER */
	bool keep;			/* the mapping, when told */
	bool pinned;

	/* Under the reservation lock */
	struct sg_table *sgt;
	unsigned int nr_told;
	bool told_without_lock;
	bool told_before_mark;
};

/* A job that uses the memory. */
struct revoke_ctx {
	struct buffer buf;
	struct list_head importers;
	struct test_fence *fence;
	struct importer *imp;		/* that the work is about */
	struct work_struct work;
	bool told_in_time;
	bool had_access;
	bool intr;			/* something ends the wait for fences */
	long timeout;
	struct completion revoked;
	int revoke_ret;
	unsigned int nr_devices;
};

/* The PCI devices */

static struct pci_dev *provider;
static struct pci_dev *clients[4];

static const struct pci_device_id revoke_ids[] = {
	{ PCI_DEVICE(0x1af4, 0x1110), .driver_data = true },
	{ PCI_DEVICE(0x1234, 0x11e8) },
	{}
};

static int revoke_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	unsigned int i;
	int ret;

	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;

	if (id->driver_data) {
		ret = pcim_p2pdma_init(pdev);
		if (!ret && !provider)
			provider = pdev;
		return ret;
	}

	ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (ret)
		return ret;

	for (i = 0; i < ARRAY_SIZE(clients); i++) {
		if (clients[i])
			continue;
		clients[i] = pdev;
		break;
	}

	return 0;
}

static void revoke_remove(struct pci_dev *pdev)
{
	unsigned int i;

	if (provider == pdev)
		provider = NULL;
	for (i = 0; i < ARRAY_SIZE(clients); i++)
		if (clients[i] == pdev)
			clients[i] = NULL;
}

static struct pci_driver revoke_driver = {
	.name = KBUILD_MODNAME,
	.id_table = revoke_ids,
	.probe = revoke_probe,
	.remove = revoke_remove,
};

/* Return a device that reaches the memory of the provider, or NULL. */
static struct device *find_client(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(clients); i++)
		if (clients[i] &&
		    pci_p2pdma_distance(provider, &clients[i]->dev, false) >= 0)
			return &clients[i]->dev;

	return NULL;
}

/* The exporter */

static void record(struct buffer *buf, enum step step)
{
	unsigned int i = atomic_fetch_inc(&buf->nr_steps);

	if (i < NR_STEPS)
		buf->steps[i] = step;
}

static int buffer_attach(struct dma_buf *dmabuf, struct dma_buf_attachment *attach)
{
	struct buffer *buf = dmabuf->priv;

	buf->attach_said_revocable = dma_buf_attach_revocable(attach);
	if (buf->only_revocable && !buf->attach_said_revocable)
		return -EOPNOTSUPP;

	return 0;
}

static int buffer_pin(struct dma_buf_attachment *attach)
{
	struct buffer *buf = attach->dmabuf->priv;

	buf->pins++;

	return 0;
}

static void buffer_unpin(struct dma_buf_attachment *attach)
{
	struct buffer *buf = attach->dmabuf->priv;

	buf->pins--;
}

static struct sg_table *map_system_memory(phys_addr_t phys)
{
	struct sg_table *sgt = kzalloc(sizeof(*sgt), GFP_KERNEL);

	if (!sgt)
		return ERR_PTR(-ENOMEM);
	if (sg_alloc_table(sgt, 1, GFP_KERNEL)) {
		kfree(sgt);
		return ERR_PTR(-ENOMEM);
	}
	sg_set_page(sgt->sgl, phys_to_page(phys), SIZE, 0);
	sg_dma_address(sgt->sgl) = phys;
	sg_dma_len(sgt->sgl) = SIZE;

	return sgt;
}

static struct sg_table *buffer_map(struct dma_buf_attachment *attach,
				   enum dma_data_direction dir)
{
	struct buffer *buf = attach->dmabuf->priv;
	struct phys_vec range = { buf->places[buf->place], SIZE };
	struct sg_table *sgt;

	if (buf->revoked)
		return ERR_PTR(-ENODEV);

	if (buf->memory == SYSTEM_MEMORY)
		sgt = map_system_memory(range.paddr);
	else
		sgt = dma_buf_phys_vec_to_sgt(attach,
					      pcim_p2pdma_provider(provider,
								   PROVIDER_BAR),
					      &range, 1, SIZE, dir);
	if (!IS_ERR(sgt))
		atomic_inc(&buf->mappings);

	return sgt;
}

static void buffer_unmap(struct dma_buf_attachment *attach, struct sg_table *sgt,
			 enum dma_data_direction dir)
{
	struct buffer *buf = attach->dmabuf->priv;

	if (buf->memory == SYSTEM_MEMORY) {
		sg_free_table(sgt);
		kfree(sgt);
	} else {
		dma_buf_free_sgt(attach, sgt, dir);
	}

	record(buf, UNMAPPED);
	if (atomic_dec_and_test(&buf->mappings))
		wake_up_var(&buf->mappings);
}

static void buffer_release(struct dma_buf *dmabuf)
{
	struct buffer *buf = dmabuf->priv;

	buf->released = true;
}

static const struct dma_buf_ops buffer_ops = {
	.attach = buffer_attach,
	.pin = buffer_pin,
	.unpin = buffer_unpin,
	.map_dma_buf = buffer_map,
	.unmap_dma_buf = buffer_unmap,
	.release = buffer_release,
};

/* Its memory never moves. */
static const struct dma_buf_ops immovable_ops = {
	.attach = buffer_attach,
	.map_dma_buf = buffer_map,
	.unmap_dma_buf = buffer_unmap,
	.release = buffer_release,
};

/* Return 0 if the memory is back, otherwise what kept the exporter from waiting. */
static int buffer_revoke(struct buffer *buf, bool intr, long timeout)
{
	struct dma_resv *resv = buf->dmabuf->resv;
	long ret;

	dma_resv_lock(resv, NULL);
	record(buf, MARKED);
	buf->revoked = true;
	dma_buf_invalidate_mappings(buf->dmabuf);
	complete_all(&buf->told);
	ret = dma_resv_wait_timeout(resv, DMA_RESV_USAGE_BOOKKEEP, intr, timeout);
	dma_resv_unlock(resv);
	if (!ret)
		return -ETIMEDOUT;
	if (ret < 0)
		return ret;

	wait_var_event(&buf->mappings, !atomic_read_acquire(&buf->mappings));
	record(buf, RETURNED);

	return 0;
}

/* The exporter lets importers have the memory again. */
static void buffer_restore(struct buffer *buf)
{
	dma_resv_lock(buf->dmabuf->resv, NULL);
	buf->returned = false;
	buf->revoked = false;
	dma_resv_unlock(buf->dmabuf->resv);
}

/* Until the fences have signalled, the memory is used at the old place. */
static void buffer_move(struct buffer *buf, unsigned int place)
{
	struct dma_resv *resv = buf->dmabuf->resv;

	dma_resv_lock(resv, NULL);
	dma_buf_invalidate_mappings(buf->dmabuf);
	dma_resv_wait_timeout(resv, DMA_RESV_USAGE_BOOKKEEP, false,
			      MAX_SCHEDULE_TIMEOUT);
	buf->place = place;
	dma_resv_unlock(resv);
}

static void __iomem *bar_addr(struct buffer *buf, phys_addr_t phys)
{
	return buf->bar + (phys - pci_resource_start(provider, PROVIDER_BAR));
}

static u32 read_word(struct buffer *buf, phys_addr_t phys)
{
	if (buf->memory == SYSTEM_MEMORY)
		return READ_ONCE(*(u32 *)phys_to_virt(phys));

	return readl(bar_addr(buf, phys));
}

static void write_word(struct buffer *buf, phys_addr_t phys, u32 word)
{
	if (buf->memory == SYSTEM_MEMORY)
		WRITE_ONCE(*(u32 *)phys_to_virt(phys), word);
	else
		writel(word, bar_addr(buf, phys));
}

static void close_buffer(struct dma_buf *dmabuf)
{
	dma_buf_put(dmabuf);
	/* The last reference of a kernel thread is put by a work item. */
	flush_delayed_fput();
}

KUNIT_DEFINE_ACTION_WRAPPER(close_buffer_action, close_buffer, struct dma_buf *);
KUNIT_DEFINE_ACTION_WRAPPER(iounmap_action, iounmap, void __iomem *);

static void free_place(void *mem)
{
	free_pages_exact(mem, SIZE);
}

static void get_system_memory(struct kunit *test, struct buffer *buf)
{
	unsigned int i;
	void *mem;
	int ret;

	for (i = 0; i < NR_PLACES; i++) {
		mem = alloc_pages_exact(SIZE, GFP_KERNEL | __GFP_ZERO);
		KUNIT_ASSERT_NOT_NULL(test, mem);
		ret = kunit_add_action_or_reset(test, free_place, mem);
		KUNIT_ASSERT_EQ(test, ret, 0);
		buf->places[i] = virt_to_phys(mem);
	}
}

static void get_device_memory(struct kunit *test, struct buffer *buf)
{
	phys_addr_t start;
	unsigned int i;
	int ret;

	if (!provider)
		kunit_skip(test, "needs QEMU's ivshmem-plain");
	if (!find_client())
		kunit_skip(test, "needs QEMU's edu with a route to ivshmem-plain");

	start = pci_resource_start(provider, PROVIDER_BAR);
	KUNIT_ASSERT_GE(test, pci_resource_len(provider, PROVIDER_BAR),
			NR_PLACES * SIZE);
	for (i = 0; i < NR_PLACES; i++)
		buf->places[i] = start + i * SIZE;

	buf->bar = ioremap(start, NR_PLACES * SIZE);
	KUNIT_ASSERT_NOT_NULL(test, (void __force *)buf->bar);
	ret = kunit_add_action_or_reset(test, iounmap_action,
					(void __force *)buf->bar);
	KUNIT_ASSERT_EQ(test, ret, 0);
}

static struct buffer *export_buffer_with(struct kunit *test, enum memory memory,
					 const struct dma_buf_ops *ops)
{
	DEFINE_DMA_BUF_EXPORT_INFO(exp_info);
	struct revoke_ctx *ctx = test->priv;
	struct buffer *buf = &ctx->buf;
	int ret;

	buf->memory = memory;
	init_completion(&buf->told);
	if (memory == SYSTEM_MEMORY)
		get_system_memory(test, buf);
	else
		get_device_memory(test, buf);

	exp_info.ops = ops;
	exp_info.size = SIZE;
	exp_info.flags = O_RDWR;
	exp_info.priv = buf;
	buf->dmabuf = dma_buf_export(&exp_info);
	KUNIT_ASSERT_FALSE(test, IS_ERR(buf->dmabuf));
	ret = kunit_add_action_or_reset(test, close_buffer_action, buf->dmabuf);
	KUNIT_ASSERT_EQ(test, ret, 0);

	write_word(buf, buf->places[0], OLD_WORD);
	write_word(buf, buf->places[1], NEW_WORD);

	return buf;
}

static struct buffer *export_buffer(struct kunit *test, enum memory memory)
{
	return export_buffer_with(test, memory, &buffer_ops);
}

/* Importers */

static void importer_unmap_locked(struct importer *imp,
				  struct dma_buf_attachment *attach)
{
	struct sg_table *sgt = imp->sgt;

	/* Who waits for the unmapping may look at it without the lock. */
	imp->sgt = NULL;
	if (sgt)
		dma_buf_unmap_attachment(attach, sgt, DMA_BIDIRECTIONAL);
}

static void importer_unmap(struct importer *imp)
{
	struct dma_resv *resv = imp->buf->dmabuf->resv;

	dma_resv_lock(resv, NULL);
	importer_unmap_locked(imp, imp->attach);
	dma_resv_unlock(resv);
}

static int importer_map_locked(struct importer *imp)
{
	struct sg_table *sgt;
	int ret;

	if ((imp->kind == PINNED || imp->kind == PINNED_REVOCABLE) && !imp->pinned) {
		ret = dma_buf_pin(imp->attach);
		if (ret)
			return ret;
		imp->pinned = true;
	}

	sgt = dma_buf_map_attachment(imp->attach, DMA_BIDIRECTIONAL);
	if (IS_ERR(sgt))
		return PTR_ERR(sgt);
	imp->sgt = sgt;

	return 0;
}

static int importer_map(struct importer *imp)
{
	struct dma_resv *resv = imp->buf->dmabuf->resv;
	int ret;

	dma_resv_lock(resv, NULL);
	ret = importer_map_locked(imp);
	dma_resv_unlock(resv);

	return ret;
}

static void importer_work(struct work_struct *work)
{
	importer_unmap(container_of(work, struct importer, work));
}

static void importer_told(struct dma_buf_attachment *attach)
{
	struct importer *imp = attach->importer_priv;

	imp->nr_told++;
	if (!dma_resv_is_locked(attach->dmabuf->resv))
		imp->told_without_lock = true;
	if (!imp->buf->revoked)
		imp->told_before_mark = true;
	record(imp->buf, TOLD);

	if (imp->keep)
		return;
	if (imp->kind == DYNAMIC_LATER)
		schedule_work(&imp->work);
	else
		importer_unmap_locked(imp, attach);
}

static const struct dma_buf_attach_ops revocable_ops = {
	.allow_peer2peer = true,
	.invalidate_mappings = importer_told,
};

static const struct dma_buf_attach_ops pinned_ops = {
	.allow_peer2peer = true,
};

static const struct dma_buf_attach_ops *ops_of(enum kind kind)
{
	switch (kind) {
	case STATIC:
		return NULL;
	case PINNED:
		return &pinned_ops;
	default:
		return &revocable_ops;
	}
}

static int importer_start(struct importer *imp, struct device *dev,
			  struct buffer *buf, enum kind kind)
{
	struct dma_buf_attachment *attach;

	imp->dev = dev;
	imp->buf = buf;
	imp->kind = kind;
	INIT_WORK(&imp->work, importer_work);
	attach = dma_buf_dynamic_attach(buf->dmabuf, dev, ops_of(kind), imp);
	if (IS_ERR(attach))
		return PTR_ERR(attach);
	imp->attach = attach;
	/* An importer has a reference of its own. */
	get_dma_buf(buf->dmabuf);

	return 0;
}

static void importer_finish(struct importer *imp)
{
	struct dma_buf *dmabuf = imp->buf->dmabuf;

	if (!imp->attach)
		return;

	flush_work(&imp->work);
	dma_resv_lock(dmabuf->resv, NULL);
	importer_unmap_locked(imp, imp->attach);
	if (imp->pinned)
		dma_buf_unpin(imp->attach);
	imp->pinned = false;
	dma_resv_unlock(dmabuf->resv);
	dma_buf_detach(dmabuf, imp->attach);
	imp->attach = NULL;
	close_buffer(dmabuf);
}

KUNIT_DEFINE_ACTION_WRAPPER(importer_finish_action, importer_finish, struct importer *);

/* Return a device for an importer: a new one, if it need not be a real one. */
static struct device *get_device_for_importer(struct kunit *test)
{
	struct revoke_ctx *ctx = test->priv;
	struct device *dev;
	char name[32];

	if (ctx->buf.memory == DEVICE_MEMORY)
		return find_client();

	snprintf(name, sizeof(name), "dma-buf-importer.%u", ctx->nr_devices++);
	dev = kunit_device_register(test, name);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dev);

	return dev;
}

static struct importer *attach_importer(struct kunit *test, enum kind kind)
{
	struct revoke_ctx *ctx = test->priv;
	struct device *dev = get_device_for_importer(test);
	struct importer *imp;
	int ret;

	imp = kunit_kzalloc(test, sizeof(*imp), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, imp);
	ret = importer_start(imp, dev, &ctx->buf, kind);
	KUNIT_ASSERT_EQ(test, ret, 0);
	ret = kunit_add_action_or_reset(test, importer_finish_action, imp);
	KUNIT_ASSERT_EQ(test, ret, 0);
	list_add(&imp->node, &ctx->importers);

	return imp;
}

static struct importer *map_importer(struct kunit *test, enum kind kind)
{
	struct importer *imp = attach_importer(test, kind);

	KUNIT_ASSERT_EQ(test, importer_map(imp), 0);
	KUNIT_ASSERT_NOT_NULL(test, imp->sgt);

	return imp;
}

/* Return the memory that the device of an importer reaches. */
static phys_addr_t phys_behind(struct importer *imp)
{
	dma_addr_t addr = sg_dma_address(imp->sgt->sgl);
	phys_addr_t phys;

	if (imp->buf->memory == SYSTEM_MEMORY)
		return addr;

	if (use_dma_iommu(imp->dev)) {
		phys = iommu_iova_to_phys(iommu_get_domain_for_dev(imp->dev), addr);
		if (phys)
			return phys;
	}

	/* On the bus, or without an IOMMU: both are the same on these machines. */
	return dma_to_phys(imp->dev, addr);
}

static u32 device_read(struct importer *imp)
{
	return read_word(imp->buf, phys_behind(imp));
}

static void device_write(struct importer *imp, u32 word)
{
	write_word(imp->buf, phys_behind(imp), word);
}

static void expect_revoked(struct kunit *test, struct importer *imp)
{
	KUNIT_EXPECT_EQ(test, imp->nr_told, 1);
	KUNIT_EXPECT_NULL(test, imp->sgt);
	KUNIT_EXPECT_EQ(test, importer_map(imp), -ENODEV);
}

/* What happens while the exporter waits */

static void flush_ctx(void *data)
{
	struct revoke_ctx *ctx = data;

	flush_work(&ctx->work);
}

/* Have something done by somebody else, who begins with wait_until_told(). */
static void do_when_told(struct kunit *test, work_func_t func)
{
	struct revoke_ctx *ctx = test->priv;
	int ret;

	INIT_WORK(&ctx->work, func);
	ret = kunit_add_action_or_reset(test, flush_ctx, ctx);
	KUNIT_ASSERT_EQ(test, ret, 0);
	schedule_work(&ctx->work);
}

/* By then, a revoke that should wait and does not is over. */
static void wait_until_told(struct revoke_ctx *ctx)
{
	ctx->told_in_time = wait_for_completion_timeout(&ctx->buf.told,
							TOLD_TIMEOUT);
	schedule_timeout_uninterruptible(SOON);
}

static void use_memory_until_signaled(struct work_struct *work)
{
	struct revoke_ctx *ctx = container_of(work, struct revoke_ctx, work);

	wait_until_told(ctx);
	ctx->had_access = ctx->imp->sgt;
	if (ctx->had_access)
		device_write(ctx->imp, NEW_WORD);
	record(&ctx->buf, SIGNALED);
	dma_fence_signal(&ctx->fence->base);
}

static void unmap_when_told(struct work_struct *work)
{
	struct revoke_ctx *ctx = container_of(work, struct revoke_ctx, work);

	wait_until_told(ctx);
	ctx->had_access = ctx->imp->sgt && !completion_done(&ctx->revoked);
	importer_unmap(ctx->imp);
}

/* Threads */

static int revoke_thread(void *data)
{
	struct revoke_ctx *ctx = data;

	if (ctx->intr) {
		allow_signal(SIGINT);
		send_sig(SIGINT, current, 0);
	}
	ctx->revoke_ret = buffer_revoke(&ctx->buf, ctx->intr, ctx->timeout);
	complete_all(&ctx->revoked);

	return 0;
}

static void start_revoke(struct kunit *test)
{
	struct revoke_ctx *ctx = test->priv;

	reinit_completion(&ctx->revoked);
	run_thread(test, revoke_thread, ctx);
}

static void finish_revoke(struct kunit *test, int ret)
{
	struct revoke_ctx *ctx = test->priv;
	struct importer *imp;

	if (!wait_for_completion_timeout(&ctx->revoked, TIMEOUT)) {
		KUNIT_FAIL(test, "the memory does not come back");
		list_for_each_entry(imp, &ctx->importers, node)
			if (imp->attach)
				importer_unmap(imp);
		wake_up_var(&ctx->buf.mappings);
		wait_for_completion(&ctx->revoked);
	}
	KUNIT_EXPECT_EQ(test, ctx->revoke_ret, ret);
	if (!ret)
		KUNIT_EXPECT_EQ(test, atomic_read(&ctx->buf.mappings), 0);
}

static void revoke(struct kunit *test)
{
	start_revoke(test);
	finish_revoke(test, 0);
}

/* Who can be told */

static void only_importers_with_callback_are_revocable(struct kunit *test)
{
	const struct kind_param *param = test->param_value;
	struct buffer *buf = export_buffer(test, SYSTEM_MEMORY);
	struct importer *imp;

	buf->attach_said_revocable = !param->revocable;
	imp = attach_importer(test, param->kind);

	KUNIT_EXPECT_EQ(test, buf->attach_said_revocable, param->revocable);
	KUNIT_EXPECT_EQ(test, dma_buf_attach_revocable(imp->attach),
			param->revocable);
}

static void exporter_can_turn_away_importers_that_are_not(struct kunit *test)
{
	const struct kind_param *param = test->param_value;
	struct buffer *buf = export_buffer(test, SYSTEM_MEMORY);
	struct device *dev = get_device_for_importer(test);
	struct importer *imp;

	imp = kunit_kzalloc(test, sizeof(*imp), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, imp);
	buf->only_revocable = true;
	KUNIT_EXPECT_EQ(test, importer_start(imp, dev, buf, param->kind),
			param->revocable ? 0 : -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, list_empty(&buf->dmabuf->attachments),
			!param->revocable);
	importer_finish(imp);
}

static void exporter_that_does_not_ask_serves_importers_of_every_kind(struct kunit *test)
{
	const struct kind_param *param = test->param_value;
	struct buffer *buf = export_buffer(test, SYSTEM_MEMORY);
	struct importer *imp = attach_importer(test, param->kind);

	KUNIT_EXPECT_EQ(test, importer_map(imp), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&buf->mappings), 1);
	importer_finish(imp);
	KUNIT_EXPECT_EQ(test, atomic_read(&buf->mappings), 0);
	KUNIT_EXPECT_EQ(test, buf->pins, 0);
}

static void exporter_without_pin_serves_importers_of_every_kind(struct kunit *test)
{
	const struct kind_param *param = test->param_value;
	struct buffer *buf = export_buffer_with(test, SYSTEM_MEMORY,
						&immovable_ops);
	struct importer *imp = attach_importer(test, param->kind);

	KUNIT_EXPECT_EQ(test, importer_map(imp), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&buf->mappings), 1);
	importer_finish(imp);
	KUNIT_EXPECT_EQ(test, atomic_read(&buf->mappings), 0);
}

static const struct pin_param {
	const char *desc;
	enum kind kind;
	bool pins;
} pin_params[] = {
	{ "dynamic", DYNAMIC, false },
	{ "dynamic, unmaps later", DYNAMIC_LATER, false },
	{ "static", STATIC, true },
};

KUNIT_ARRAY_PARAM_DESC(pin, pin_params, desc);

/* Who can be told needs no pin, so that the memory can move. */
static void mapping_pins_only_for_importers_that_cannot_be_told(struct kunit *test)
{
	const struct pin_param *param = test->param_value;
	struct buffer *buf = export_buffer(test, SYSTEM_MEMORY);
	struct importer *imp = map_importer(test, param->kind);

	KUNIT_EXPECT_EQ(test, buf->pins, param->pins);
	importer_unmap(imp);
	KUNIT_EXPECT_EQ(test, buf->pins, 0);
}

static void invalidate(struct buffer *buf)
{
	dma_resv_lock(buf->dmabuf->resv, NULL);
	dma_buf_invalidate_mappings(buf->dmabuf);
	dma_resv_unlock(buf->dmabuf->resv);
}

static void invalidate_tells_those_who_can_be_told(struct kunit *test)
{
	struct buffer *buf = export_buffer(test, SYSTEM_MEMORY);
	struct importer *imps[ARRAY_SIZE(kind_params)];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(kind_params); i++)
		imps[i] = map_importer(test, kind_params[i].kind);

	invalidate(buf);

	for (i = 0; i < ARRAY_SIZE(kind_params); i++) {
		flush_work(&imps[i]->work);
		KUNIT_EXPECT_EQ_MSG(test, imps[i]->nr_told,
				    kind_params[i].revocable,
				    "%s", kind_params[i].desc);
		KUNIT_EXPECT_EQ_MSG(test, !imps[i]->sgt, kind_params[i].revocable,
				    "%s", kind_params[i].desc);
	}
}

static void invalidate_tells_importers_without_mapping(struct kunit *test)
{
	struct buffer *buf = export_buffer(test, SYSTEM_MEMORY);
	struct importer *imp = attach_importer(test, DYNAMIC);

	invalidate(buf);
	KUNIT_EXPECT_EQ(test, imp->nr_told, 1);
	invalidate(buf);
	KUNIT_EXPECT_EQ(test, imp->nr_told, 2);
	importer_finish(imp);
	invalidate(buf);
	KUNIT_EXPECT_EQ(test, imp->nr_told, 2);
}

/* Revoking */

static void revoke_takes_mapping_back(struct kunit *test)
{
	const struct revocable_param *param = test->param_value;
	struct buffer *buf = export_buffer(test, param->memory);
	struct importer *imp = attach_importer(test, param->kind);
	struct kunit_dma_usage before = kunit_dma_usage(imp->dev);

	KUNIT_ASSERT_EQ(test, importer_map(imp), 0);

	revoke(test);

	expect_revoked(test, imp);
	kunit_expect_dma_usage(test, imp->dev, &before);
	KUNIT_EXPECT_EQ(test, read_word(buf, buf->places[0]), OLD_WORD);
}

static void importer_is_told_under_lock_once_memory_is_marked(struct kunit *test)
{
	const struct revocable_param *param = test->param_value;
	struct importer *imp;

	export_buffer(test, param->memory);
	imp = map_importer(test, param->kind);

	revoke(test);

	KUNIT_EXPECT_EQ(test, imp->nr_told, 1);
	KUNIT_EXPECT_FALSE(test, imp->told_without_lock);
	KUNIT_EXPECT_FALSE(test, imp->told_before_mark);
}

static void importer_has_full_access_until_fence_signals(struct kunit *test)
{
	const struct usage_param *param = test->param_value;
	struct revoke_ctx *ctx = test->priv;
	struct buffer *buf = export_buffer(test, SYSTEM_MEMORY);

	ctx->imp = map_importer(test, DYNAMIC_LATER);
	ctx->fence = add_fence(test, ctx->buf.dmabuf, param->usage);
	do_when_told(test, use_memory_until_signaled);

	revoke(test);

	KUNIT_EXPECT_TRUE(test, dma_fence_is_signaled(&ctx->fence->base));
	flush_work(&ctx->work);
	KUNIT_EXPECT_TRUE(test, ctx->told_in_time);
	KUNIT_EXPECT_TRUE(test, ctx->had_access);
	KUNIT_EXPECT_EQ(test, read_word(buf, buf->places[0]), NEW_WORD);
	expect_revoked(test, ctx->imp);
}

/* A job may use the memory without any mapping, that of the exporter for one. */
static void revoke_waits_for_fence_when_nothing_is_mapped(struct kunit *test)
{
	const struct usage_param *param = test->param_value;
	struct revoke_ctx *ctx = test->priv;

	export_buffer(test, SYSTEM_MEMORY);
	ctx->imp = attach_importer(test, DYNAMIC);
	ctx->fence = add_fence(test, ctx->buf.dmabuf, param->usage);
	do_when_told(test, use_memory_until_signaled);

	revoke(test);

	KUNIT_EXPECT_TRUE(test, dma_fence_is_signaled(&ctx->fence->base));
}

static const struct last_param {
	const char *desc;
	enum memory memory;
	enum kind kind;
} last_params[] = {
	{ "system memory, dynamic", SYSTEM_MEMORY, DYNAMIC },
	{ "system memory, pinned, with callback", SYSTEM_MEMORY, PINNED_REVOCABLE },
	{ "system memory, pinned, without callback", SYSTEM_MEMORY, PINNED },
	{ "system memory, static", SYSTEM_MEMORY, STATIC },
	{ "device memory, dynamic", DEVICE_MEMORY, DYNAMIC },
	{ "device memory, pinned, with callback", DEVICE_MEMORY, PINNED_REVOCABLE },
	{ "device memory, pinned, without callback", DEVICE_MEMORY, PINNED },
};

KUNIT_ARRAY_PARAM_DESC(last, last_params, desc);

/* With importers that cannot be told this may take for ever. */
static void revoke_waits_for_last_unmap(struct kunit *test)
{
	const struct last_param *param = test->param_value;
	struct revoke_ctx *ctx = test->priv;

	export_buffer(test, param->memory);
	map_importer(test, DYNAMIC);
	ctx->imp = map_importer(test, param->kind);
	ctx->imp->keep = true;
	do_when_told(test, unmap_when_told);

	revoke(test);

	flush_work(&ctx->work);
	KUNIT_EXPECT_TRUE(test, ctx->had_access);
	KUNIT_EXPECT_NULL(test, ctx->imp->sgt);
	KUNIT_EXPECT_EQ(test, importer_map(ctx->imp), -ENODEV);
}

static void steps_of_revoke_follow_one_another(struct kunit *test)
{
	const struct memory_param *param = test->param_value;
	struct revoke_ctx *ctx = test->priv;
	struct buffer *buf = export_buffer(test, param->memory);
	enum step step;

	ctx->imp = map_importer(test, DYNAMIC_LATER);
	ctx->fence = add_fence(test, ctx->buf.dmabuf, DMA_RESV_USAGE_BOOKKEEP);
	do_when_told(test, use_memory_until_signaled);

	revoke(test);

	KUNIT_EXPECT_EQ(test, atomic_read(&buf->nr_steps), NR_STEPS);
	for (step = MARKED; step < NR_STEPS; step++)
		KUNIT_EXPECT_EQ(test, buf->steps[step], step);
}

static void revoke_waits_for_importers_of_all_kinds(struct kunit *test)
{
	const struct memory_param *param = test->param_value;
	struct importer *imps[3];
	struct kunit_dma_usage before;
	unsigned int i;

	export_buffer(test, param->memory);
	imps[0] = attach_importer(test, DYNAMIC_LATER);
	imps[1] = attach_importer(test, DYNAMIC);
	imps[2] = attach_importer(test, PINNED_REVOCABLE);
	before = kunit_dma_usage(imps[0]->dev);
	for (i = 0; i < ARRAY_SIZE(imps); i++)
		KUNIT_ASSERT_EQ(test, importer_map(imps[i]), 0);

	revoke(test);

	for (i = 0; i < ARRAY_SIZE(imps); i++)
		expect_revoked(test, imps[i]);
	kunit_expect_dma_usage(test, imps[0]->dev, &before);
}

static void revoke_has_nobody_to_wait_for(struct kunit *test)
{
	export_buffer(test, SYSTEM_MEMORY);

	revoke(test);

	KUNIT_EXPECT_EQ(test, importer_map(attach_importer(test, DYNAMIC)), -ENODEV);
}

static void revoke_can_be_repeated(struct kunit *test)
{
	const struct memory_param *param = test->param_value;
	struct importer *imp;

	export_buffer(test, param->memory);
	imp = map_importer(test, DYNAMIC_LATER);

	revoke(test);
	revoke(test);

	KUNIT_EXPECT_EQ(test, imp->nr_told, 2);
	KUNIT_EXPECT_NULL(test, imp->sgt);
	KUNIT_EXPECT_EQ(test, importer_map(imp), -ENODEV);
}

static const struct unfinished_param {
	const char *desc;
	bool intr;
	int ret;
} unfinished_params[] = {
	{ "timed out", false, -ETIMEDOUT },
	{ "interrupted", true, -ERESTARTSYS },
};

KUNIT_ARRAY_PARAM_DESC(unfinished, unfinished_params, desc);

/* An exporter that gives up waiting does not have its memory back. */
static void unfinished_revoke_can_be_taken_up_again(struct kunit *test)
{
	const struct unfinished_param *param = test->param_value;
	struct revoke_ctx *ctx = test->priv;
	struct importer *imp;

	export_buffer(test, SYSTEM_MEMORY);
	imp = map_importer(test, DYNAMIC);
	imp->keep = true;
	ctx->fence = add_fence(test, ctx->buf.dmabuf, DMA_RESV_USAGE_BOOKKEEP);

	ctx->intr = param->intr;
	if (!param->intr)
		ctx->timeout = SOON;
	start_revoke(test);
	finish_revoke(test, param->ret);

	KUNIT_EXPECT_EQ(test, imp->nr_told, 1);
	KUNIT_ASSERT_NOT_NULL(test, imp->sgt);
	KUNIT_EXPECT_EQ(test, device_read(imp), OLD_WORD);
	KUNIT_EXPECT_EQ(test, importer_map(attach_importer(test, DYNAMIC)), -ENODEV);

	imp->keep = false;
	ctx->intr = false;
	ctx->timeout = MAX_SCHEDULE_TIMEOUT;
	dma_fence_signal(&ctx->fence->base);
	revoke(test);
	KUNIT_EXPECT_NULL(test, imp->sgt);
}

static void importers_come_and_go_while_revoke_waits(struct kunit *test)
{
	const struct memory_param *param = test->param_value;
	struct revoke_ctx *ctx = test->priv;
	struct buffer *buf = export_buffer(test, param->memory);
	struct importer *last = map_importer(test, DYNAMIC);
	struct importer *gone = map_importer(test, DYNAMIC);
	struct importer *imp;

	last->keep = true;
	start_revoke(test);
	KUNIT_EXPECT_NE(test, 0, wait_for_completion_timeout(&buf->told, TIMEOUT));

	importer_finish(gone);
	imp = attach_importer(test, DYNAMIC);
	KUNIT_EXPECT_EQ(test, importer_map(imp), -ENODEV);
	importer_finish(imp);
	KUNIT_EXPECT_EQ(test, 0, wait_for_completion_timeout(&ctx->revoked, SOON));

	/* The last one unmaps and detaches. */
	importer_finish(last);
	finish_revoke(test, 0);
	KUNIT_EXPECT_TRUE(test, list_empty(&buf->dmabuf->attachments));
}

static void buffer_that_is_closed_but_imported_is_revoked(struct kunit *test)
{
	const struct memory_param *param = test->param_value;
	struct buffer *buf = export_buffer(test, param->memory);
	struct importer *imp = map_importer(test, DYNAMIC);

	kunit_release_action(test, close_buffer_action, buf->dmabuf);
	KUNIT_EXPECT_FALSE(test, buf->released);

	revoke(test);

	expect_revoked(test, imp);
	KUNIT_EXPECT_FALSE(test, buf->released);
	importer_finish(imp);
	KUNIT_EXPECT_TRUE(test, buf->released);
}

/* Moving */

static const struct revocable_param move_params[] = {
	{ "system memory, dynamic", SYSTEM_MEMORY, DYNAMIC },
	{ "system memory, dynamic, unmaps later", SYSTEM_MEMORY, DYNAMIC_LATER },
	{ "device memory, dynamic", DEVICE_MEMORY, DYNAMIC },
	{ "device memory, dynamic, unmaps later", DEVICE_MEMORY, DYNAMIC_LATER },
};

KUNIT_ARRAY_PARAM_DESC(move, move_params, desc);

static void moved_memory_is_mapped_again_where_it_is(struct kunit *test)
{
	const struct revocable_param *param = test->param_value;
	struct buffer *buf = export_buffer(test, param->memory);
	struct importer *imp = map_importer(test, param->kind);

	KUNIT_EXPECT_EQ(test, device_read(imp), OLD_WORD);
	buffer_move(buf, 1);
	flush_work(&imp->work);
	KUNIT_EXPECT_EQ(test, imp->nr_told, 1);
	KUNIT_EXPECT_NULL(test, imp->sgt);

	KUNIT_ASSERT_EQ(test, importer_map(imp), 0);
	KUNIT_EXPECT_EQ(test, phys_behind(imp), buf->places[1]);
	KUNIT_EXPECT_EQ(test, device_read(imp), NEW_WORD);
}

static void signal_when_told(struct work_struct *work)
{
	struct revoke_ctx *ctx = container_of(work, struct revoke_ctx, work);

	schedule_timeout_uninterruptible(SOON);
	/* The memory may not have moved yet. */
	ctx->had_access = ctx->buf.place == 0;
	dma_fence_signal(&ctx->fence->base);
}

static void memory_moves_when_fence_has_signaled(struct kunit *test)
{
	const struct usage_param *param = test->param_value;
	struct revoke_ctx *ctx = test->priv;
	struct buffer *buf = export_buffer(test, SYSTEM_MEMORY);

	ctx->imp = map_importer(test, DYNAMIC);
	ctx->fence = add_fence(test, ctx->buf.dmabuf, param->usage);
	do_when_told(test, signal_when_told);

	buffer_move(buf, 1);

	flush_work(&ctx->work);
	KUNIT_EXPECT_TRUE(test, ctx->had_access);
}

/* Races */

struct racer {
	struct buffer *buf;
	struct device *dev;
	struct importer imp;
	unsigned int mapped;
	unsigned int refused;
	unsigned int mapped_after_revoke;
	int unexpected;			/* an error */
};

/* Map, do DMA, and stay mapped. Nobody else may have the memory meanwhile. */
static void race_to_map(struct racer *racer)
{
	struct importer *imp = &racer->imp;
	struct buffer *buf = racer->buf;
	int ret;

	dma_resv_lock(buf->dmabuf->resv, NULL);
	ret = importer_map_locked(imp);
	if (!ret) {
		if (READ_ONCE(buf->returned))
			racer->mapped_after_revoke++;
		device_write(imp, OLD_WORD);
		WRITE_ONCE(racer->mapped, racer->mapped + 1);
	}
	dma_resv_unlock(buf->dmabuf->resv);

	if (ret == -ENODEV)
		WRITE_ONCE(racer->refused, racer->refused + 1);
	else if (ret)
		racer->unexpected = ret;
}

static int map_race_thread(void *data)
{
	struct racer *racer = data;
	int ret;

	ret = importer_start(&racer->imp, racer->dev, racer->buf, DYNAMIC);
	if (ret) {
		racer->unexpected = ret;
		return 0;
	}
	while (!kthread_should_stop()) {
		race_to_map(racer);
		cond_resched();
		importer_unmap(&racer->imp);
	}
	importer_finish(&racer->imp);

	return 0;
}

static int attach_race_thread(void *data)
{
	struct racer *racer = data;
	int ret;

	while (!kthread_should_stop()) {
		ret = importer_start(&racer->imp, racer->dev, racer->buf, DYNAMIC);
		if (ret) {
			racer->unexpected = ret;
			cond_resched();
			continue;
		}
		race_to_map(racer);
		cond_resched();
		importer_finish(&racer->imp);
	}

	return 0;
}

/* Wait until somebody has counted on. */
static bool wait_for_count(unsigned int *count)
{
	unsigned long end = jiffies + TIMEOUT;
	unsigned int before = READ_ONCE(*count);

	while (READ_ONCE(*count) == before) {
		if (time_after(jiffies, end))
			return false;
		cond_resched();
	}

	return true;
}

static bool wait_for_racers(struct racer *racers, bool mapped)
{
	unsigned int i;

	for (i = 0; i < 2; i++)
		if (!wait_for_count(mapped ? &racers[i].mapped : &racers[i].refused))
			return false;

	return true;
}

static void nobody_has_memory_after_revoke(struct kunit *test)
{
	const struct memory_param *param = test->param_value;
	struct buffer *buf = export_buffer(test, param->memory);
	struct device *dev = get_device_for_importer(test);
	struct kunit_dma_usage before = kunit_dma_usage(dev);
	unsigned int i, mappings = 0, writes = 0;
	struct task_struct *tasks[2];
	struct racer *racers;

	if (num_online_cpus() < 2)
		kunit_skip(test, "needs two CPUs");
	racers = kunit_kcalloc(test, 2, sizeof(*racers), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, racers);
	for (i = 0; i < 2; i++) {
		racers[i].buf = buf;
		racers[i].dev = dev;
		tasks[i] = run_thread(test, i ? attach_race_thread : map_race_thread,
				      &racers[i]);
	}

	for (i = 0; i < NR_ROUNDS; i++) {
		if (!wait_for_racers(racers, true))
			break;
		KUNIT_EXPECT_EQ(test, 0, buffer_revoke(buf, false,
						       MAX_SCHEDULE_TIMEOUT));
		WRITE_ONCE(buf->returned, true);
		mappings += atomic_read(&buf->mappings);
		write_word(buf, buf->places[0], NEW_WORD);

		/* They do try. */
		if (!wait_for_racers(racers, false))
			break;
		mappings += atomic_read(&buf->mappings);
		writes += read_word(buf, buf->places[0]) != NEW_WORD;
		buffer_restore(buf);
	}
	for (i = 0; i < 2; i++)
		kunit_release_action(test, stop_thread, tasks[i]);

	for (i = 0; i < 2; i++) {
		KUNIT_EXPECT_EQ(test, racers[i].unexpected, 0);
		KUNIT_EXPECT_EQ(test, racers[i].mapped_after_revoke, 0);
		KUNIT_EXPECT_GE(test, racers[i].mapped, NR_ROUNDS);
		KUNIT_EXPECT_GE(test, racers[i].refused, NR_ROUNDS);
	}
	KUNIT_EXPECT_EQ(test, mappings, 0);
	KUNIT_EXPECT_EQ(test, writes, 0);
	KUNIT_EXPECT_TRUE(test, list_empty(&buf->dmabuf->attachments));
	kunit_expect_dma_usage(test, dev, &before);
}

static int revoke_init(struct kunit *test)
{
	struct revoke_ctx *ctx;

	ctx = kunit_kzalloc(test, sizeof(*ctx), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ctx);
	INIT_LIST_HEAD(&ctx->importers);
	ctx->timeout = MAX_SCHEDULE_TIMEOUT;
	init_completion(&ctx->revoked);
	test->priv = ctx;

	return 0;
}

static int revoke_suite_init(struct kunit_suite *suite)
{
	return pci_register_driver(&revoke_driver);
}

static void revoke_suite_exit(struct kunit_suite *suite)
{
	pci_unregister_driver(&revoke_driver);
}

static struct kunit_case revoke_cases[] = {
	KUNIT_CASE_PARAM(only_importers_with_callback_are_revocable, kind_gen_params),
	KUNIT_CASE_PARAM(exporter_can_turn_away_importers_that_are_not,
			 kind_gen_params),
	KUNIT_CASE_PARAM(exporter_that_does_not_ask_serves_importers_of_every_kind,
			 kind_gen_params),
	KUNIT_CASE_PARAM(exporter_without_pin_serves_importers_of_every_kind,
			 kind_gen_params),
	KUNIT_CASE_PARAM(mapping_pins_only_for_importers_that_cannot_be_told,
			 pin_gen_params),
	KUNIT_CASE(invalidate_tells_those_who_can_be_told),
	KUNIT_CASE(invalidate_tells_importers_without_mapping),
	KUNIT_CASE_PARAM(revoke_takes_mapping_back, revocable_gen_params),
	KUNIT_CASE_PARAM(importer_is_told_under_lock_once_memory_is_marked,
			 revocable_gen_params),
	KUNIT_CASE_PARAM(importer_has_full_access_until_fence_signals,
			 usage_gen_params),
	KUNIT_CASE_PARAM(revoke_waits_for_fence_when_nothing_is_mapped,
			 usage_gen_params),
	KUNIT_CASE_PARAM(revoke_waits_for_last_unmap, last_gen_params),
	KUNIT_CASE_PARAM(steps_of_revoke_follow_one_another, memory_gen_params),
	KUNIT_CASE_PARAM(revoke_waits_for_importers_of_all_kinds, memory_gen_params),
	KUNIT_CASE(revoke_has_nobody_to_wait_for),
	KUNIT_CASE_PARAM(revoke_can_be_repeated, memory_gen_params),
	KUNIT_CASE_PARAM(unfinished_revoke_can_be_taken_up_again,
			 unfinished_gen_params),
	KUNIT_CASE_PARAM(importers_come_and_go_while_revoke_waits, memory_gen_params),
	KUNIT_CASE_PARAM(buffer_that_is_closed_but_imported_is_revoked,
			 memory_gen_params),
	KUNIT_CASE_PARAM(moved_memory_is_mapped_again_where_it_is, move_gen_params),
	KUNIT_CASE_PARAM(memory_moves_when_fence_has_signaled, usage_gen_params),
	KUNIT_CASE_PARAM(nobody_has_memory_after_revoke, memory_gen_params),
	{}
};

static struct kunit_suite revoke_suite = {
	.name = "dma_buf_revoke",
	.suite_init = revoke_suite_init,
	.suite_exit = revoke_suite_exit,
	.init = revoke_init,
	.test_cases = revoke_cases,
};

kunit_test_suite(revoke_suite);

MODULE_IMPORT_NS("DMA_BUF");
MODULE_DESCRIPTION("KUnit tests for revoking the mappings of a dma-buf");
MODULE_LICENSE("GPL");
