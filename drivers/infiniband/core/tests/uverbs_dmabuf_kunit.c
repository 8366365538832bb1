// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests for the dma-bufs that user space has of an RDMA device's memory.
 *
 * When the memory goes away, ib_uverbs tells all importers and waits until the
 * last of them has unmapped. So it has to turn away those that it can't tell.
 *
 * What is tested are the operations of the exporter, on a dma-buf without a
 * device below it. To map it takes a PCI device with memory in a BAR.
 */

#include <kunit/device.h>
#include <kunit/test.h>
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/file.h>
#include <linux/module.h>

#include "../uverbs.h"

struct uverbs_dmabuf_ctx {
	struct ib_uverbs_dmabuf_file exporter;
	struct dma_buf *dmabuf;
	struct device *dev;
	unsigned int told;
};

/* The importer */

static void count_invalidation(struct dma_buf_attachment *attach)
{
	struct uverbs_dmabuf_ctx *ctx = attach->importer_priv;

	ctx->told++;
}

static const struct dma_buf_attach_ops revocable_ops = {
	.allow_peer2peer = true,
	.invalidate_mappings = count_invalidation,
};

static const struct dma_buf_attach_ops not_revocable_ops = {
	.allow_peer2peer = true,
};

static const struct dma_buf_attach_ops not_peer2peer_ops = {
	.invalidate_mappings = count_invalidation,
};

static const struct attach_param {
	const char *desc;
	const struct dma_buf_attach_ops *ops;
	int expected;
} attach_params[] = {
	{ "can be told", &revocable_ops, 0 },
	{ "cannot be told", &not_revocable_ops, -EOPNOTSUPP },
	{ "can be told, but has no peer-to-peer access", &not_peer2peer_ops,
	  -EOPNOTSUPP },
	{ "static", NULL, -EOPNOTSUPP },
};

KUNIT_ARRAY_PARAM_DESC(attach, attach_params, desc);

static void only_importer_that_gives_memory_back_attaches(struct kunit *test)
{
	const struct attach_param *param = test->param_value;
	struct uverbs_dmabuf_ctx *ctx = test->priv;
	struct dma_buf_attachment *attach;

	attach = dma_buf_dynamic_attach(ctx->dmabuf, ctx->dev, param->ops, ctx);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(attach), param->expected);
	if (!IS_ERR(attach))
		dma_buf_detach(ctx->dmabuf, attach);
}

static void revoked_memory_is_not_mapped(struct kunit *test)
{
	struct uverbs_dmabuf_ctx *ctx = test->priv;
	struct dma_buf_attachment *attach;
	struct sg_table *sgt;

	attach = dma_buf_dynamic_attach(ctx->dmabuf, ctx->dev, &revocable_ops,
					ctx);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, attach);

	ib_uverbs_dmabuf_revoke(&ctx->exporter);
	KUNIT_EXPECT_EQ(test, ctx->told, 1);
	sgt = dma_buf_map_attachment_unlocked(attach, DMA_BIDIRECTIONAL);
	KUNIT_EXPECT_PTR_EQ(test, sgt, ERR_PTR(-ENODEV));

	dma_buf_detach(ctx->dmabuf, attach);
}

/* Set-up */

static void put_dmabuf(void *data)
{
	struct uverbs_dmabuf_ctx *ctx = data;

	/* There is no uobject to release, as if creating it had failed. */
	ctx->dmabuf->priv = NULL;
	dma_buf_put(ctx->dmabuf);
	/* The kernel thread has no user space to return to, which closes files. */
	flush_delayed_fput();
}

static int uverbs_dmabuf_init(struct kunit *test)
{
	DEFINE_DMA_BUF_EXPORT_INFO(exp_info);
	struct uverbs_dmabuf_ctx *ctx;

	ctx = kunit_kzalloc(test, sizeof(*ctx), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ctx);
	test->priv = ctx;

	ctx->dev = kunit_device_register(test, "uverbs-dmabuf-kunit");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, ctx->dev);

	exp_info.ops = &uverbs_dmabuf_ops;
	exp_info.size = PAGE_SIZE;
	exp_info.priv = &ctx->exporter;
	ctx->dmabuf = dma_buf_export(&exp_info);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, ctx->dmabuf);

	mutex_init(&ctx->exporter.dmabuf_release_lock);
	kref_init(&ctx->exporter.kref);
	init_completion(&ctx->exporter.comp);
	ctx->exporter.dmabuf = ctx->dmabuf;

	return kunit_add_action_or_reset(test, put_dmabuf, ctx);
}

static struct kunit_case uverbs_dmabuf_cases[] = {
	KUNIT_CASE_PARAM(only_importer_that_gives_memory_back_attaches,
			 attach_gen_params),
	KUNIT_CASE(revoked_memory_is_not_mapped),
	{}
};

static struct kunit_suite uverbs_dmabuf_suite = {
	.name = "uverbs_dmabuf",
	.init = uverbs_dmabuf_init,
	.test_cases = uverbs_dmabuf_cases,
};

kunit_test_suite(uverbs_dmabuf_suite);

MODULE_DESCRIPTION("KUnit tests for dma-bufs of an RDMA device's memory");
MODULE_IMPORT_NS("DMA_BUF");
MODULE_IMPORT_NS("EXPORTED_FOR_KUNIT_TESTING");
MODULE_LICENSE("GPL");
