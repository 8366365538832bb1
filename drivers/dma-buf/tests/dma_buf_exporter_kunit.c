// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests that run example_exporter.h, an exporter of device memory.
 *
 * They bind it to QEMU's ivshmem-plain, which has memory in BAR 2, and import
 * with QEMU's edu. That one has a real DMA engine, which takes 0.1 s for a
 * transfer: time enough to revoke memory while DMA is in flight. It needs a DMA
 * mask that covers the BAR (edu,dma_mask=0xffffffffffffffff), and a route to
 * its peer.
 *
 * All else that can happen to a mapping while it is revoked is brought about by
 * importers that give up their mappings when, and only when, they are told to.
 */

#include <kunit/dma.h>
#include <kunit/test.h>
#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/dma-buf.h>
#include <linux/dma-fence.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/file.h>
#include <linux/io.h>
#include <linux/iommu.h>
#include <linux/iopoll.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/pci-p2pdma.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/wait_bit.h>
#include <linux/workqueue.h>

#include "dma_buf_kunit.h"
#include "example_exporter.h"

#define EDU_BAR			0
#define EDU_DMA_SRC		0x80
#define EDU_DMA_DST		0x88
#define EDU_DMA_COUNT		0x90
#define EDU_DMA_CMD		0x98
#define EDU_DMA_CMD_RUN		BIT_ULL(0)
#define EDU_DMA_CMD_WRITE	BIT_ULL(1)
#define EDU_DMA_BUFFER		0x40000

/* In which part of the BAR most cases are interested. */
#define OFFSET		(4 * PAGE_SIZE)
#define SIZE		(64 * PAGE_SIZE)

/* Long enough for a thread that should have waited to get past it. */
#define SOON		msecs_to_jiffies(20)
#define TIMEOUT		(10 * HZ)
#define TOLD_TIMEOUT	(TIMEOUT / 2)

#define NR_ROUNDS	100

#define OLD_WORD	0x0badcafe
#define NEW_WORD	0x600dcafe

struct exporter_ctx {
	struct bar *bar;
	struct pci_dev *client;
	struct list_head importers;
	struct kunit_dma_usage before;
	struct completion revoked;
};

/* The use that a device makes of a dma-buf. */
struct importer {
	struct list_head node;
	struct dma_buf *dmabuf;
	struct dma_buf_attachment *attach;
	struct sg_table *sgt;		/* under the reservation lock */
	bool keep;			/* the mapping, when told */
	unsigned int nr_told;
	bool told_too_early;		/* could have mapped again */
	bool told_too_late;		/* the fence had signalled */
	struct completion told;
	struct work_struct work;
	struct test_fence *fence;
	void __iomem *dma_regs;
};

/* The devices */

static struct pci_driver bar_driver = {
	.name = KBUILD_MODNAME,
	.id_table = bar_ids,
	.probe = bar_probe,
	.remove = bar_remove,
};

static struct pci_dev *provider;
static struct pci_dev *clients[4];

static int client_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	void __iomem *regs;
	unsigned int i;
	int ret;

	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (ret)
		return ret;
	regs = pcim_iomap_region(pdev, EDU_BAR, KBUILD_MODNAME);
	if (IS_ERR(regs))
		return PTR_ERR(regs);
	pci_set_drvdata(pdev, (void __force *)regs);
	pci_set_master(pdev);

	for (i = 0; i < ARRAY_SIZE(clients); i++) {
		if (clients[i])
			continue;
		clients[i] = pdev;
		break;
	}

	return 0;
}

static void client_remove(struct pci_dev *pdev)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(clients); i++)
		if (clients[i] == pdev)
			clients[i] = NULL;
	pci_clear_master(pdev);
}

static const struct pci_device_id client_ids[] = {
	{ PCI_DEVICE(0x1234, 0x11e8) },
	{}
};

static struct pci_driver client_driver = {
	.name = KBUILD_MODNAME "-client",
	.id_table = client_ids,
	.probe = client_probe,
	.remove = client_remove,
};

static void __iomem *dma_regs(struct exporter_ctx *ctx)
{
	return (void __iomem __force *)pci_get_drvdata(ctx->client);
}

/* Start a transfer between a word of the device and one of its mapping. */
static void start_dma(void __iomem *regs, dma_addr_t addr, bool write)
{
	writeq(write ? EDU_DMA_BUFFER : addr, regs + EDU_DMA_SRC);
	writeq(write ? addr : EDU_DMA_BUFFER, regs + EDU_DMA_DST);
	writeq(sizeof(u32), regs + EDU_DMA_COUNT);
	writeq(EDU_DMA_CMD_RUN | (write ? EDU_DMA_CMD_WRITE : 0),
	       regs + EDU_DMA_CMD);
}

static bool dma_runs(void __iomem *regs)
{
	return readq(regs + EDU_DMA_CMD) & EDU_DMA_CMD_RUN;
}

static int wait_for_dma(void __iomem *regs)
{
	u64 cmd;

	return readq_poll_timeout(regs + EDU_DMA_CMD, cmd,
				  !(cmd & EDU_DMA_CMD_RUN), USEC_PER_MSEC,
				  10 * USEC_PER_SEC);
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
	dma_resv_lock(imp->dmabuf->resv, NULL);
	importer_unmap_locked(imp, imp->attach);
	dma_resv_unlock(imp->dmabuf->resv);
}

static int importer_map(struct importer *imp)
{
	struct sg_table *sgt;

	dma_resv_lock(imp->dmabuf->resv, NULL);
	sgt = dma_buf_map_attachment(imp->attach, DMA_BIDIRECTIONAL);
	if (!IS_ERR(sgt))
		imp->sgt = sgt;
	dma_resv_unlock(imp->dmabuf->resv);

	return PTR_ERR_OR_ZERO(sgt);
}

static void importer_told(struct dma_buf_attachment *attach)
{
	struct importer *imp = attach->importer_priv;
	struct bar_buf *buf = attach->dmabuf->priv;

	imp->nr_told++;
	if (!buf->revoked)
		imp->told_too_early = true;
	if (imp->fence && dma_fence_is_signaled(&imp->fence->base))
		imp->told_too_late = true;
	if (!imp->keep)
		importer_unmap_locked(imp, attach);
	complete_all(&imp->told);
}

static const struct dma_buf_attach_ops importer_ops = {
	.allow_peer2peer = true,
	.invalidate_mappings = importer_told,
};

static const struct dma_buf_attach_ops importer_ops_without_callback = {
	.allow_peer2peer = true,
};

static const struct dma_buf_attach_ops importer_ops_without_peer2peer = {
	.invalidate_mappings = importer_told,
};

static void close_buf(struct dma_buf *dmabuf)
{
	dma_buf_put(dmabuf);
	/* The last reference of a kernel thread is put by a work item. */
	flush_delayed_fput();
}

KUNIT_DEFINE_ACTION_WRAPPER(close_buf_action, close_buf, struct dma_buf *);

static void importer_finish(struct importer *imp)
{
	if (!imp->attach)
		return;

	importer_unmap(imp);
	dma_buf_detach(imp->dmabuf, imp->attach);
	imp->attach = NULL;
	close_buf(imp->dmabuf);
}

KUNIT_DEFINE_ACTION_WRAPPER(importer_finish_action, importer_finish, struct importer *);

static int importer_start(struct importer *imp, struct device *dev,
			  struct dma_buf *dmabuf,
			  const struct dma_buf_attach_ops *ops)
{
	struct dma_buf_attachment *attach;

	imp->dmabuf = dmabuf;
	init_completion(&imp->told);
	attach = dma_buf_dynamic_attach(dmabuf, dev, ops, imp);
	if (IS_ERR(attach))
		return PTR_ERR(attach);
	imp->attach = attach;
	/* An importer has a reference of its own. */
	get_dma_buf(dmabuf);

	return 0;
}

static struct importer *attach_importer(struct kunit *test, struct dma_buf *dmabuf)
{
	struct exporter_ctx *ctx = test->priv;
	struct importer *imp;
	int ret;

	imp = kunit_kzalloc(test, sizeof(*imp), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, imp);
	ret = importer_start(imp, &ctx->client->dev, dmabuf, &importer_ops);
	KUNIT_ASSERT_EQ(test, ret, 0);
	ret = kunit_add_action_or_reset(test, importer_finish_action, imp);
	KUNIT_ASSERT_EQ(test, ret, 0);
	list_add(&imp->node, &ctx->importers);

	return imp;
}

static struct importer *map_importer(struct kunit *test, struct dma_buf *dmabuf)
{
	struct importer *imp = attach_importer(test, dmabuf);

	KUNIT_ASSERT_EQ(test, importer_map(imp), 0);
	KUNIT_ASSERT_NOT_NULL(test, imp->sgt);

	return imp;
}

static struct dma_buf *export_buf(struct kunit *test, u64 offset)
{
	struct exporter_ctx *ctx = test->priv;
	struct dma_buf *dmabuf;
	int ret;

	dmabuf = bar_export(ctx->bar, offset, SIZE);
	KUNIT_ASSERT_FALSE(test, IS_ERR(dmabuf));
	ret = kunit_add_action_or_reset(test, close_buf_action, dmabuf);
	KUNIT_ASSERT_EQ(test, ret, 0);

	return dmabuf;
}

static dma_addr_t addr_of(struct importer *imp, size_t offset)
{
	struct scatterlist *sg;
	int i;

	for_each_sgtable_dma_sg(imp->sgt, sg, i) {
		if (offset < sg_dma_len(sg))
			return sg_dma_address(sg) + offset;
		offset -= sg_dma_len(sg);
	}

	return DMA_MAPPING_ERROR;
}

KUNIT_DEFINE_ACTION_WRAPPER(iounmap_action, iounmap, void __iomem *);

/* Return the memory of the BAR as the CPU has it. */
static u32 __iomem *bar_memory(struct kunit *test)
{
	void __iomem *mem;
	int ret;

	mem = ioremap(pci_resource_start(provider, BAR),
		      pci_resource_len(provider, BAR));
	KUNIT_ASSERT_NOT_NULL(test, (void __force *)mem);
	ret = kunit_add_action_or_reset(test, iounmap_action,
					(void __force *)mem);
	KUNIT_ASSERT_EQ(test, ret, 0);

	return mem;
}

static void expect_revoked(struct kunit *test, struct importer *imp)
{
	KUNIT_EXPECT_EQ(test, imp->nr_told, 1);
	KUNIT_EXPECT_FALSE(test, imp->told_too_early);
	KUNIT_EXPECT_NULL(test, imp->sgt);
	KUNIT_EXPECT_EQ(test, importer_map(imp), -ENODEV);
}

static void expect_no_mapping(struct kunit *test)
{
	struct exporter_ctx *ctx = test->priv;

	KUNIT_EXPECT_EQ(test, atomic_read(&ctx->bar->mappings), 0);
	kunit_expect_dma_usage(test, &ctx->client->dev, &ctx->before);
}

/* Revoking in a thread, as it has to wait for the others */

static int revoke_thread(void *data)
{
	struct exporter_ctx *ctx = data;

	bar_revoke(ctx->bar);
	complete(&ctx->revoked);

	return 0;
}

static int unbind_thread(void *data)
{
	struct exporter_ctx *ctx = data;

	device_release_driver(&provider->dev);
	complete(&ctx->revoked);

	return 0;
}

static void run_until_revoked(struct kunit *test, int (*thread)(void *data))
{
	struct exporter_ctx *ctx = test->priv;
	struct importer *imp;

	run_thread(test, thread, ctx);
	if (wait_for_completion_timeout(&ctx->revoked, TIMEOUT))
		return;

	KUNIT_FAIL(test, "the memory does not come back");
	list_for_each_entry(imp, &ctx->importers, node)
		importer_unmap(imp);
	wake_up_var(&ctx->bar->mappings);
	wait_for_completion(&ctx->revoked);
}

static void revoke(struct kunit *test)
{
	run_until_revoked(test, revoke_thread);
}

static void flush_importer(void *data)
{
	struct importer *imp = data;

	flush_work(&imp->work);
}

/* Have something done by somebody else, who begins with wait_until_told(). */
static void do_when_told(struct kunit *test, struct importer *imp, work_func_t func)
{
	int ret;

	INIT_WORK(&imp->work, func);
	ret = kunit_add_action_or_reset(test, flush_importer, imp);
	KUNIT_ASSERT_EQ(test, ret, 0);
	schedule_work(&imp->work);
}

/* By then, a revoke that should wait and does not is over. */
static void wait_until_told(struct importer *imp)
{
	if (wait_for_completion_timeout(&imp->told, TOLD_TIMEOUT))
		schedule_timeout_uninterruptible(SOON);
}

/* Exporting */

static const struct part_param {
	const char *desc;
	u64 offset;
	u64 size;
	int ret;
} part_params[] = {
	{ "all pages but the first", PAGE_SIZE, 0, 0 },
	{ "one page in the middle", 16 * PAGE_SIZE, PAGE_SIZE, 0 },
	{ "nothing", 0, 0, -EINVAL },
	{ "not a whole page", 0, PAGE_SIZE - 1, -EINVAL },
	{ "not at a page boundary", 512, PAGE_SIZE, -EINVAL },
	{ "more than there is", PAGE_SIZE, U64_MAX & PAGE_MASK, -EINVAL },
	{ "behind the end", U64_MAX & PAGE_MASK, PAGE_SIZE, -EINVAL },
};

KUNIT_ARRAY_PARAM_DESC(part, part_params, desc);

static void exports_only_what_is_in_bar(struct kunit *test)
{
	const struct part_param *param = test->param_value;
	struct exporter_ctx *ctx = test->priv;
	struct dma_buf *dmabuf;
	u64 size = param->size;

	if (!size && !param->ret)
		size = pci_resource_len(provider, BAR) - param->offset;
	dmabuf = bar_export(ctx->bar, param->offset, size);

	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(dmabuf), param->ret);
	if (IS_ERR(dmabuf))
		return;
	KUNIT_EXPECT_EQ(test, dmabuf->size, size);
	close_buf(dmabuf);
	KUNIT_EXPECT_TRUE(test, list_empty(&ctx->bar->bufs));
}

static const struct attach_param {
	const char *desc;
	const struct dma_buf_attach_ops *ops;
	int ret;
} attach_params[] = {
	{ "reaches peers and has the callback", &importer_ops, 0 },
	{ "does not reach peers", &importer_ops_without_peer2peer, -EOPNOTSUPP },
	{ "does not have the callback", &importer_ops_without_callback, -EOPNOTSUPP },
	{ "static", NULL, -EOPNOTSUPP },
};

KUNIT_ARRAY_PARAM_DESC(attach, attach_params, desc);

static void attaches_importer_only_if_memory_can_be_revoked(struct kunit *test)
{
	const struct attach_param *param = test->param_value;
	struct exporter_ctx *ctx = test->priv;
	struct dma_buf *dmabuf = export_buf(test, OFFSET);
	struct importer imp = {};

	KUNIT_EXPECT_EQ(test, param->ret,
			importer_start(&imp, &ctx->client->dev, dmabuf,
				       param->ops));
	importer_finish(&imp);
}

/*
 * In QEMU an IOMMU translates all that devices do, even what a switch below it
 * passes on from one device to the other.
 */
static void need_dma(struct kunit *test)
{
	struct exporter_ctx *ctx = test->priv;
	struct iommu_domain *domain = iommu_get_domain_for_dev(&ctx->client->dev);

	if (domain && domain->type != IOMMU_DOMAIN_IDENTITY &&
	    !pci_is_root_bus(ctx->client->bus))
		kunit_skip(test, "the IOMMU translates what the switch passes on");
}

static void importer_reaches_the_memory_that_was_exported(struct kunit *test)
{
	struct exporter_ctx *ctx = test->priv;
	struct importer *imp = map_importer(test, export_buf(test, OFFSET));
	u32 __iomem *mem = bar_memory(test) + OFFSET / sizeof(u32);
	u32 __iomem *last = mem + SIZE / sizeof(u32) - 1;

	need_dma(test);

	writel(NEW_WORD, mem);
	writel(OLD_WORD, last);
	writel(OLD_WORD, last + 1);
	writel(OLD_WORD, mem - 1);

	/* From the first word of the mapping to its last one. */
	start_dma(dma_regs(ctx), addr_of(imp, 0), false);
	KUNIT_ASSERT_EQ(test, wait_for_dma(dma_regs(ctx)), 0);
	start_dma(dma_regs(ctx), addr_of(imp, SIZE - sizeof(u32)), true);
	KUNIT_ASSERT_EQ(test, wait_for_dma(dma_regs(ctx)), 0);

	KUNIT_EXPECT_EQ(test, readl(last), NEW_WORD);
	KUNIT_EXPECT_EQ(test, readl(last + 1), OLD_WORD);
	KUNIT_EXPECT_EQ(test, readl(mem - 1), OLD_WORD);
	KUNIT_EXPECT_EQ(test, addr_of(imp, SIZE), DMA_MAPPING_ERROR);
}

static void unmapping_leaves_nothing_behind(struct kunit *test)
{
	struct exporter_ctx *ctx = test->priv;
	struct importer *imp = map_importer(test, export_buf(test, OFFSET));

	KUNIT_EXPECT_EQ(test, atomic_read(&ctx->bar->mappings), 1);
	importer_unmap(imp);
	expect_no_mapping(test);

	/* It is the importer's decision, and nothing is revoked. */
	KUNIT_EXPECT_EQ(test, importer_map(imp), 0);
	KUNIT_EXPECT_EQ(test, imp->nr_told, 0);
}

/* Revoking */

static void revoke_takes_back_every_mapping_of_every_buffer(struct kunit *test)
{
	struct dma_buf *dmabuf = export_buf(test, OFFSET);
	struct importer *imps[3];
	unsigned int i;

	imps[0] = map_importer(test, dmabuf);
	imps[1] = map_importer(test, dmabuf);
	imps[2] = map_importer(test, export_buf(test, OFFSET + SIZE));

	revoke(test);

	for (i = 0; i < ARRAY_SIZE(imps); i++)
		expect_revoked(test, imps[i]);
	expect_no_mapping(test);
}

static void revoke_takes_back_pinned_memory(struct kunit *test)
{
	struct dma_buf *dmabuf = export_buf(test, OFFSET);
	struct importer *imp = attach_importer(test, dmabuf);
	int ret;

	dma_resv_lock(dmabuf->resv, NULL);
	ret = dma_buf_pin(imp->attach);
	dma_resv_unlock(dmabuf->resv);
	KUNIT_ASSERT_EQ(test, ret, 0);
	KUNIT_ASSERT_EQ(test, importer_map(imp), 0);

	revoke(test);

	expect_revoked(test, imp);
	expect_no_mapping(test);

	dma_resv_lock(dmabuf->resv, NULL);
	dma_buf_unpin(imp->attach);
	dma_resv_unlock(dmabuf->resv);
}

static void signal_fence_work(struct work_struct *work)
{
	struct importer *imp = container_of(work, struct importer, work);

	wait_until_told(imp);
	dma_fence_signal(&imp->fence->base);
}

/* The importer unmaps at once, but somebody else may use the memory as well. */
static void revoke_waits_for_fence(struct kunit *test)
{
	const struct usage_param *param = test->param_value;
	struct dma_buf *dmabuf = export_buf(test, OFFSET);
	struct importer *imp = map_importer(test, dmabuf);

	imp->fence = add_fence(test, dmabuf, param->usage);
	do_when_told(test, imp, signal_fence_work);

	revoke(test);

	KUNIT_EXPECT_TRUE(test, dma_fence_is_signaled(&imp->fence->base));
	KUNIT_EXPECT_FALSE(test, imp->told_too_late);
	expect_revoked(test, imp);
}

static void unmap_work(struct work_struct *work)
{
	struct importer *imp = container_of(work, struct importer, work);

	wait_until_told(imp);
	importer_unmap(imp);
}

static void revoke_waits_for_last_unmap(struct kunit *test)
{
	struct dma_buf *dmabuf = export_buf(test, OFFSET);
	struct importer *imp = map_importer(test, dmabuf);
	struct importer *last = map_importer(test, dmabuf);

	last->keep = true;
	do_when_told(test, last, unmap_work);

	revoke(test);

	expect_revoked(test, imp);
	expect_revoked(test, last);
	expect_no_mapping(test);
}

static void end_of_dma_work(struct work_struct *work)
{
	struct importer *imp = container_of(work, struct importer, work);

	wait_for_dma(imp->dma_regs);
	dma_fence_signal(&imp->fence->base);
	importer_unmap(imp);
}

static void revoke_waits_for_dma_in_flight(struct kunit *test)
{
	struct exporter_ctx *ctx = test->priv;
	struct dma_buf *dmabuf = export_buf(test, OFFSET);
	struct importer *imp = map_importer(test, dmabuf);
	u32 __iomem *mem = bar_memory(test) + OFFSET / sizeof(u32);
	void __iomem *regs = dma_regs(ctx);

	need_dma(test);

	/* The device gets the word that it is to write. */
	writel(NEW_WORD, mem);
	start_dma(regs, addr_of(imp, 0), false);
	KUNIT_ASSERT_EQ(test, wait_for_dma(regs), 0);
	writel(OLD_WORD, mem);

	imp->keep = true;
	imp->dma_regs = regs;
	imp->fence = add_fence(test, dmabuf, DMA_RESV_USAGE_BOOKKEEP);
	start_dma(regs, addr_of(imp, 0), true);
	do_when_told(test, imp, end_of_dma_work);
	KUNIT_EXPECT_EQ(test, readl(mem), OLD_WORD);

	revoke(test);

	KUNIT_EXPECT_FALSE(test, dma_runs(regs));
	KUNIT_EXPECT_EQ(test, readl(mem), NEW_WORD);
	expect_revoked(test, imp);
}

static const struct idle_param {
	const char *desc;
	bool exported;
	bool attached;
	bool mapped_before;
} idle_params[] = {
	{ "nothing exported" },
	{ "nobody attached", .exported = true },
	{ "attached", .exported = true, .attached = true },
	{ "mapped and unmapped", .exported = true, .attached = true,
	  .mapped_before = true },
};

KUNIT_ARRAY_PARAM_DESC(idle, idle_params, desc);

static void revoke_has_nothing_to_wait_for_when_nothing_is_mapped(struct kunit *test)
{
	const struct idle_param *param = test->param_value;
	struct dma_buf *dmabuf = NULL;
	struct importer *imp = NULL;

	if (param->exported)
		dmabuf = export_buf(test, OFFSET);
	if (param->attached)
		imp = attach_importer(test, dmabuf);
	if (param->mapped_before) {
		KUNIT_ASSERT_EQ(test, importer_map(imp), 0);
		importer_unmap(imp);
	}

	revoke(test);

	if (dmabuf && !imp)
		imp = attach_importer(test, dmabuf);
	if (imp)
		KUNIT_EXPECT_EQ(test, importer_map(imp), -ENODEV);
	expect_no_mapping(test);
}

static void revoke_can_be_repeated(struct kunit *test)
{
	struct importer *imp = map_importer(test, export_buf(test, OFFSET));

	revoke(test);
	revoke(test);

	expect_revoked(test, imp);
	expect_no_mapping(test);
}

struct revoker {
	struct bar *bar;
	struct completion done;
};

static int revoker_thread(void *data)
{
	struct revoker *revoker = data;

	bar_revoke(revoker->bar);
	complete(&revoker->done);

	return 0;
}

/* None of them may return early because another one does the work. */
static void revokes_at_the_same_time_all_wait(struct kunit *test)
{
	struct exporter_ctx *ctx = test->priv;
	struct importer *imp = map_importer(test, export_buf(test, OFFSET));
	struct revoker *revokers;
	unsigned int i;

	revokers = kunit_kcalloc(test, 2, sizeof(*revokers), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, revokers);
	imp->keep = true;
	for (i = 0; i < 2; i++) {
		revokers[i].bar = ctx->bar;
		init_completion(&revokers[i].done);
		run_thread(test, revoker_thread, &revokers[i]);
	}

	wait_for_completion_timeout(&imp->told, TIMEOUT);
	for (i = 0; i < 2; i++)
		KUNIT_EXPECT_EQ(test, 0,
				wait_for_completion_timeout(&revokers[i].done,
							    SOON));
	importer_unmap(imp);
	for (i = 0; i < 2; i++)
		KUNIT_EXPECT_NE(test, 0,
				wait_for_completion_timeout(&revokers[i].done,
							    TIMEOUT));
	expect_revoked(test, imp);
}

/* After a reset, for example. */
static void exports_again_after_revoke(struct kunit *test)
{
	struct importer *old = map_importer(test, export_buf(test, OFFSET));
	struct importer *imp;

	revoke(test);

	imp = map_importer(test, export_buf(test, OFFSET));
	KUNIT_EXPECT_EQ(test, importer_map(old), -ENODEV);

	revoke(test);

	expect_revoked(test, old);
	expect_revoked(test, imp);
	expect_no_mapping(test);
}

/* Lifetime */

static void closed_buffer_is_not_revoked(struct kunit *test)
{
	struct exporter_ctx *ctx = test->priv;
	struct dma_buf *dmabuf = export_buf(test, OFFSET);
	struct importer *imp = attach_importer(test, dmabuf);

	/* It is closed only when the importer has closed it, too. */
	kunit_release_action(test, close_buf_action, dmabuf);
	KUNIT_EXPECT_EQ(test, importer_map(imp), 0);
	KUNIT_EXPECT_FALSE(test, list_empty(&ctx->bar->bufs));
	importer_finish(imp);
	KUNIT_EXPECT_TRUE(test, list_empty(&ctx->bar->bufs));

	revoke(test);

	KUNIT_EXPECT_EQ(test, imp->nr_told, 0);
	expect_no_mapping(test);
}

static void rebind_exporter(void *unused)
{
	if (device_attach(&provider->dev) <= 0)
		dev_err(&provider->dev, "no driver any more\n");
}

static void unbind_exporter(struct kunit *test)
{
	int ret = kunit_add_action(test, rebind_exporter, NULL);

	KUNIT_ASSERT_EQ(test, ret, 0);
	run_until_revoked(test, unbind_thread);
	KUNIT_EXPECT_NULL(test, provider->dev.driver);
}

static void buffer_outlives_driver(struct kunit *test)
{
	struct exporter_ctx *ctx = test->priv;
	struct dma_buf *dmabuf = export_buf(test, OFFSET);
	struct importer *imp = map_importer(test, dmabuf);
	struct importer *late;

	unbind_exporter(test);

	expect_revoked(test, imp);
	late = attach_importer(test, dmabuf);
	KUNIT_EXPECT_EQ(test, importer_map(late), -ENODEV);
	kunit_expect_dma_usage(test, &ctx->client->dev, &ctx->before);
}

static void unbinding_driver_waits_for_last_unmap(struct kunit *test)
{
	struct importer *imp = map_importer(test, export_buf(test, OFFSET));

	imp->keep = true;
	do_when_told(test, imp, unmap_work);

	unbind_exporter(test);

	expect_revoked(test, imp);
}

/* Races */

static void skip_unless_two_cpus(struct kunit *test)
{
	if (num_online_cpus() < 2)
		kunit_skip(test, "needs two CPUs");
}

struct racer {
	struct bar *bar;
	struct device *dev;
	struct completion mapped;	/* at least once, the buffer of this round */
	struct completion revoked;	/* so has been revoked */
	unsigned int rounds;
	unsigned int buffers;
	int unexpected;			/* an error */
};

/* Map and unmap a new buffer until that fails. */
static int race_round(struct racer *racer)
{
	struct importer imp = {};
	struct dma_buf *dmabuf;
	bool mapped = false;
	int ret;

	dmabuf = bar_export(racer->bar, OFFSET, SIZE);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	ret = importer_start(&imp, racer->dev, dmabuf, &importer_ops);
	close_buf(dmabuf);
	if (ret)
		return ret;

	while (!ret) {
		ret = importer_map(&imp);
		if (!mapped)
			complete(&racer->mapped);
		mapped = true;
		importer_unmap(&imp);
		cond_resched();
	}
	importer_finish(&imp);

	return ret;
}

static int map_race_thread(void *data)
{
	struct racer *racer = data;
	unsigned int i;
	int ret;

	for (i = 0; i < NR_ROUNDS; i++) {
		ret = race_round(racer);
		if (ret != -ENODEV) {
			racer->unexpected = ret;
			break;
		}
		racer->rounds++;
		wait_for_completion(&racer->revoked);
	}
	/* Nobody waits for what does not come any more. */
	complete_all(&racer->mapped);

	return 0;
}

static void importer_that_maps_while_memory_is_revoked_fails(struct kunit *test)
{
	struct exporter_ctx *ctx = test->priv;
	unsigned int i, mapped = 0;
	struct racer *racer;

	skip_unless_two_cpus(test);
	racer = kunit_kzalloc(test, sizeof(*racer), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, racer);
	racer->bar = ctx->bar;
	racer->dev = &ctx->client->dev;
	init_completion(&racer->mapped);
	init_completion(&racer->revoked);
	run_thread(test, map_race_thread, racer);

	for (i = 0; i < NR_ROUNDS; i++) {
		wait_for_completion(&racer->mapped);
		bar_revoke(ctx->bar);
		mapped += atomic_read(&ctx->bar->mappings);
		complete(&racer->revoked);
	}
	wait_for_completion(&racer->mapped);

	KUNIT_EXPECT_EQ(test, racer->unexpected, 0);
	KUNIT_EXPECT_EQ(test, racer->rounds, NR_ROUNDS);
	KUNIT_EXPECT_EQ(test, mapped, 0);
	expect_no_mapping(test);
}

static int close_race_thread(void *data)
{
	struct racer *racer = data;

	while (!kthread_should_stop()) {
		struct dma_buf *dmabuf = bar_export(racer->bar, OFFSET, SIZE);

		if (IS_ERR(dmabuf)) {
			racer->unexpected = PTR_ERR(dmabuf);
			break;
		}
		WRITE_ONCE(racer->buffers, racer->buffers + 1);
		close_buf(dmabuf);
		cond_resched();
	}
	complete_all(&racer->mapped);

	return 0;
}

static void buffer_can_be_closed_while_memory_is_revoked(struct kunit *test)
{
	struct exporter_ctx *ctx = test->priv;
	struct task_struct *task;
	struct racer *racer;

	skip_unless_two_cpus(test);
	racer = kunit_kzalloc(test, sizeof(*racer), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, racer);
	racer->bar = ctx->bar;
	init_completion(&racer->mapped);
	task = run_thread(test, close_race_thread, racer);

	while (READ_ONCE(racer->buffers) < NR_ROUNDS &&
	       !completion_done(&racer->mapped)) {
		bar_revoke(ctx->bar);
		cond_resched();
	}
	kunit_release_action(test, stop_thread, task);

	KUNIT_EXPECT_EQ(test, racer->unexpected, 0);
	KUNIT_EXPECT_TRUE(test, list_empty(&ctx->bar->bufs));
	expect_no_mapping(test);
}

static struct pci_dev *find_client(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(clients); i++)
		if (clients[i] &&
		    pci_p2pdma_distance(provider, &clients[i]->dev, false) >= 0)
			return clients[i];

	return NULL;
}

static int exporter_init(struct kunit *test)
{
	struct exporter_ctx *ctx;

	if (!provider)
		kunit_skip(test, "needs QEMU's ivshmem-plain");

	ctx = kunit_kzalloc(test, sizeof(*ctx), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ctx);
	test->priv = ctx;

	ctx->client = find_client();
	if (!ctx->client)
		kunit_skip(test, "needs QEMU's edu with a route to ivshmem-plain");
	ctx->bar = pci_get_drvdata(provider);
	KUNIT_ASSERT_NOT_NULL(test, ctx->bar);
	KUNIT_ASSERT_GE(test, pci_resource_len(provider, BAR), OFFSET + 2 * SIZE);
	INIT_LIST_HEAD(&ctx->importers);
	init_completion(&ctx->revoked);
	ctx->before = kunit_dma_usage(&ctx->client->dev);

	return 0;
}

static int exporter_suite_init(struct kunit_suite *suite)
{
	struct device *dev;
	int ret;

	ret = pci_register_driver(&client_driver);
	if (ret)
		return ret;
	ret = pci_register_driver(&bar_driver);
	if (ret) {
		pci_unregister_driver(&client_driver);
		return ret;
	}

	dev = driver_find_next_device(&bar_driver.driver, NULL);
	provider = dev ? to_pci_dev(dev) : NULL;

	return 0;
}

static void exporter_suite_exit(struct kunit_suite *suite)
{
	pci_dev_put(provider);
	provider = NULL;
	pci_unregister_driver(&bar_driver);
	pci_unregister_driver(&client_driver);
}

static struct kunit_case exporter_cases[] = {
	KUNIT_CASE_PARAM(exports_only_what_is_in_bar, part_gen_params),
	KUNIT_CASE_PARAM(attaches_importer_only_if_memory_can_be_revoked,
			 attach_gen_params),
	KUNIT_CASE(importer_reaches_the_memory_that_was_exported),
	KUNIT_CASE(unmapping_leaves_nothing_behind),
	KUNIT_CASE(revoke_takes_back_every_mapping_of_every_buffer),
	KUNIT_CASE(revoke_takes_back_pinned_memory),
	KUNIT_CASE_PARAM(revoke_waits_for_fence, usage_gen_params),
	KUNIT_CASE(revoke_waits_for_last_unmap),
	KUNIT_CASE(revoke_waits_for_dma_in_flight),
	KUNIT_CASE_PARAM(revoke_has_nothing_to_wait_for_when_nothing_is_mapped,
			 idle_gen_params),
	KUNIT_CASE(revoke_can_be_repeated),
	KUNIT_CASE(revokes_at_the_same_time_all_wait),
	KUNIT_CASE(exports_again_after_revoke),
	KUNIT_CASE(closed_buffer_is_not_revoked),
	KUNIT_CASE(buffer_outlives_driver),
	KUNIT_CASE(unbinding_driver_waits_for_last_unmap),
	KUNIT_CASE(importer_that_maps_while_memory_is_revoked_fails),
	KUNIT_CASE(buffer_can_be_closed_while_memory_is_revoked),
	{}
};

static struct kunit_suite exporter_suite = {
	.name = "dma_buf_exporter",
	.suite_init = exporter_suite_init,
	.suite_exit = exporter_suite_exit,
	.init = exporter_init,
	.test_cases = exporter_cases,
};

kunit_test_suite(exporter_suite);

MODULE_IMPORT_NS("DMA_BUF");
MODULE_DESCRIPTION("Example of a dma-buf exporter of device memory, with KUnit tests");
MODULE_LICENSE("GPL");
