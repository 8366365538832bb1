// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests for RDMA memory regions over dma-bufs whose memory is taken back.
 *
 * The exporter is a page of memory that counts its pins and mappings. The RDMA
 * device is a fake of which only the DMA device counts; what its driver does is
 * played by the tests:
 *
 *	pinned		no invalidate_mappings(): keeps the memory
 *	revocable	stops its device when the exporter asks, for good
 *	dynamic		unmaps when the exporter asks, and maps again
 */

#include <kunit/device.h>
#include <kunit/test.h>
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <rdma/ib_umem.h>
#include <rdma/ib_verbs.h>

#define BUFFER_SIZE	(4 * PAGE_SIZE)
#define BUFFER_ORDER	2

struct umem_dmabuf_ctx {
	struct ib_device *ibdev;
	struct dma_buf *dmabuf;
	struct page *pages;
	int fd;
	struct ib_umem_dmabuf *umem_dmabuf;

	/* the exporter */
	bool wants_peer2peer;
	bool wants_revocable;
	bool moves_when_attached;
	bool moves_when_pinned;
	bool revoked;
	int pin_error;
	int map_error;
	int pins;
	int mappings;

	/* the driver of the RDMA device */
	unsigned int stopped;
	bool locked_when_stopped;
	int mappings_when_stopped;
	int pins_when_stopped;
};

/* The exporter */

static int exporter_attach(struct dma_buf *dmabuf,
			   struct dma_buf_attachment *attach)
{
	struct umem_dmabuf_ctx *ctx = dmabuf->priv;

	if (ctx->wants_peer2peer && !attach->peer2peer)
		return -EOPNOTSUPP;
	if (ctx->wants_revocable && !dma_buf_attach_revocable(attach))
		return -EOPNOTSUPP;

	/* As early as can be: the importer is not back from attaching yet. */
	if (ctx->moves_when_attached) {
		dma_resv_lock(dmabuf->resv, NULL);
		attach->importer_ops->invalidate_mappings(attach);
		dma_resv_unlock(dmabuf->resv);
	}

	return 0;
}

static int exporter_pin(struct dma_buf_attachment *attach)
{
	struct umem_dmabuf_ctx *ctx = attach->dmabuf->priv;

	if (ctx->pin_error)
		return ctx->pin_error;
	/* To where all importers reach it, as a GPU does with its own memory. */
	if (ctx->moves_when_pinned)
		dma_buf_invalidate_mappings(attach->dmabuf);
	ctx->pins++;

	return 0;
}

static void exporter_unpin(struct dma_buf_attachment *attach)
{
	struct umem_dmabuf_ctx *ctx = attach->dmabuf->priv;

	ctx->pins--;
}

static struct sg_table *exporter_map(struct dma_buf_attachment *attach,
				     enum dma_data_direction dir)
{
	struct umem_dmabuf_ctx *ctx = attach->dmabuf->priv;
	struct sg_table *sgt;
	int ret;

	if (ctx->revoked)
		return ERR_PTR(-ENODEV);
	if (ctx->map_error)
		return ERR_PTR(ctx->map_error);

	sgt = kzalloc(sizeof(*sgt), GFP_KERNEL);
	if (!sgt)
		return ERR_PTR(-ENOMEM);
	ret = sg_alloc_table(sgt, 1, GFP_KERNEL);
	if (ret)
		goto err_free;
	sg_set_page(sgt->sgl, ctx->pages, BUFFER_SIZE, 0);
	ret = dma_map_sgtable(attach->dev, sgt, dir, 0);
	if (ret)
		goto err_free_table;

	ctx->mappings++;
	return sgt;

err_free_table:
	sg_free_table(sgt);
err_free:
	kfree(sgt);
	return ERR_PTR(ret);
}

static void exporter_unmap(struct dma_buf_attachment *attach,
			   struct sg_table *sgt, enum dma_data_direction dir)
{
	struct umem_dmabuf_ctx *ctx = attach->dmabuf->priv;

	dma_unmap_sgtable(attach->dev, sgt, dir, 0);
	sg_free_table(sgt);
	kfree(sgt);
	ctx->mappings--;
}

static void exporter_release(struct dma_buf *dmabuf)
{
}

static const struct dma_buf_ops exporter_ops = {
	.attach = exporter_attach,
	.pin = exporter_pin,
	.unpin = exporter_unpin,
	.map_dma_buf = exporter_map,
	.unmap_dma_buf = exporter_unmap,
	.release = exporter_release,
};

/* What an exporter does to have its memory back, but for the last wait. */
static void revoke(struct umem_dmabuf_ctx *ctx)
{
	dma_resv_lock(ctx->dmabuf->resv, NULL);
	ctx->revoked = true;
	dma_buf_invalidate_mappings(ctx->dmabuf);
	dma_resv_wait_timeout(ctx->dmabuf->resv, DMA_RESV_USAGE_BOOKKEEP, false,
			      MAX_SCHEDULE_TIMEOUT);
	dma_resv_unlock(ctx->dmabuf->resv);
}

/* The driver of the RDMA device */

static void stop_device(void *data)
{
	struct umem_dmabuf_ctx *ctx = data;

	dma_resv_assert_held(ctx->dmabuf->resv);
	ctx->stopped++;
	ctx->locked_when_stopped = dma_resv_is_locked(ctx->dmabuf->resv);
	ctx->mappings_when_stopped = ctx->mappings;
	ctx->pins_when_stopped = ctx->pins;
}

static struct ib_umem_dmabuf *get_pinned(struct umem_dmabuf_ctx *ctx)
{
	return ib_umem_dmabuf_get_pinned(ctx->ibdev, 0, BUFFER_SIZE, ctx->fd,
					 IB_ACCESS_LOCAL_WRITE);
}

static struct ib_umem_dmabuf *get_revocable(struct umem_dmabuf_ctx *ctx)
{
	return ib_umem_dmabuf_get_pinned_revocable_and_lock(ctx->ibdev, 0,
							    BUFFER_SIZE, ctx->fd,
							    IB_ACCESS_LOCAL_WRITE);
}

/* All that a driver does to register a memory region that can be revoked. */
static void register_revocable(struct kunit *test)
{
	struct umem_dmabuf_ctx *ctx = test->priv;
	struct ib_umem_dmabuf *umem_dmabuf = get_revocable(ctx);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, umem_dmabuf);
	ctx->umem_dmabuf = umem_dmabuf;
	ib_umem_dmabuf_set_revoke_locked(umem_dmabuf, stop_device, ctx);
	ib_umem_dmabuf_revoke_unlock(umem_dmabuf);
}

static void deregister(struct umem_dmabuf_ctx *ctx)
{
	ib_umem_release(&ctx->umem_dmabuf->umem);
	ctx->umem_dmabuf = NULL;
}

static void expect_nothing_held(struct kunit *test)
{
	struct umem_dmabuf_ctx *ctx = test->priv;

	KUNIT_EXPECT_EQ(test, ctx->mappings, 0);
	KUNIT_EXPECT_EQ(test, ctx->pins, 0);
}

/* Pinned, without the callback */

static void pinned_importer_is_turned_away_by_exporter_that_revokes(struct kunit *test)
{
	struct umem_dmabuf_ctx *ctx = test->priv;

	ctx->wants_revocable = true;
	KUNIT_EXPECT_PTR_EQ(test, get_pinned(ctx), ERR_PTR(-EOPNOTSUPP));
	expect_nothing_held(test);
}

static void pinned_importer_keeps_memory_that_is_invalidated(struct kunit *test)
{
	struct umem_dmabuf_ctx *ctx = test->priv;

	ctx->umem_dmabuf = get_pinned(ctx);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, ctx->umem_dmabuf);
	KUNIT_EXPECT_FALSE(test, dma_buf_attach_revocable(ctx->umem_dmabuf->attach));

	revoke(ctx);
	KUNIT_EXPECT_EQ(test, ctx->mappings, 1);
	KUNIT_EXPECT_GT(test, ctx->pins, 0);

	deregister(ctx);
	expect_nothing_held(test);
}

/* Pinned and revocable */

static void revocable_importer_is_let_in(struct kunit *test)
{
	struct umem_dmabuf_ctx *ctx = test->priv;

	ctx->wants_revocable = true;
	ctx->umem_dmabuf = get_revocable(ctx);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, ctx->umem_dmabuf);

	KUNIT_EXPECT_TRUE(test, dma_buf_attach_revocable(ctx->umem_dmabuf->attach));
	KUNIT_EXPECT_EQ(test, ctx->mappings, 1);
	KUNIT_EXPECT_GT(test, ctx->pins, 0);

	/* Nobody revokes before the driver has set up its device. */
	KUNIT_EXPECT_FALSE(test, dma_resv_trylock(ctx->dmabuf->resv));
	ib_umem_dmabuf_revoke_unlock(ctx->umem_dmabuf);
	KUNIT_EXPECT_TRUE(test, dma_resv_trylock(ctx->dmabuf->resv));
	dma_resv_unlock(ctx->dmabuf->resv);
}

static void revocation_stops_device_before_memory_is_unmapped(struct kunit *test)
{
	struct umem_dmabuf_ctx *ctx = test->priv;

	register_revocable(test);
	revoke(ctx);

	KUNIT_EXPECT_EQ(test, ctx->stopped, 1);
	KUNIT_EXPECT_EQ(test, ctx->mappings_when_stopped, 1);
	KUNIT_EXPECT_GT(test, ctx->pins_when_stopped, 0);
	expect_nothing_held(test);
}

static void revocation_is_for_good(struct kunit *test)
{
	struct umem_dmabuf_ctx *ctx = test->priv;

	register_revocable(test);
	revoke(ctx);
	ctx->revoked = false;

	ib_umem_dmabuf_revoke_lock(ctx->umem_dmabuf);
	KUNIT_EXPECT_EQ(test, -EINVAL,
			ib_umem_dmabuf_map_pages(ctx->umem_dmabuf));
	ib_umem_dmabuf_revoke_unlock(ctx->umem_dmabuf);

	revoke(ctx);
	deregister(ctx);
	KUNIT_EXPECT_EQ_MSG(test, ctx->stopped, 1, "the device is stopped again");
	expect_nothing_held(test);
}

static void release_stops_device_that_was_not_revoked(struct kunit *test)
{
	struct umem_dmabuf_ctx *ctx = test->priv;

	register_revocable(test);
	deregister(ctx);

	KUNIT_EXPECT_EQ(test, ctx->stopped, 1);
	KUNIT_EXPECT_TRUE(test, ctx->locked_when_stopped);
	KUNIT_EXPECT_EQ(test, ctx->mappings_when_stopped, 1);
	expect_nothing_held(test);
}

/* A driver that fails to set up its device has no callback to announce. */
static void release_without_callback_unmaps(struct kunit *test)
{
	struct umem_dmabuf_ctx *ctx = test->priv;

	ctx->umem_dmabuf = get_revocable(ctx);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, ctx->umem_dmabuf);
	ib_umem_dmabuf_revoke_unlock(ctx->umem_dmabuf);
	deregister(ctx);

	KUNIT_EXPECT_EQ(test, ctx->stopped, 0);
	expect_nothing_held(test);
}

static void move_to_be_pinned_is_no_revocation(struct kunit *test)
{
	struct umem_dmabuf_ctx *ctx = test->priv;

	ctx->moves_when_pinned = true;
	register_revocable(test);
	KUNIT_EXPECT_EQ(test, ctx->stopped, 0);
	KUNIT_EXPECT_EQ(test, ctx->mappings, 1);

	ctx->moves_when_pinned = false;
	revoke(ctx);
	KUNIT_EXPECT_EQ(test, ctx->stopped, 1);
	expect_nothing_held(test);
}

static void move_while_attaching_is_no_revocation(struct kunit *test)
{
	struct umem_dmabuf_ctx *ctx = test->priv;

	ctx->moves_when_attached = true;
	register_revocable(test);
	KUNIT_EXPECT_EQ(test, ctx->stopped, 0);
	KUNIT_EXPECT_EQ(test, ctx->mappings, 1);

	revoke(ctx);
	KUNIT_EXPECT_EQ(test, ctx->stopped, 1);
	expect_nothing_held(test);
}

static const struct get_param {
	const char *desc;
	struct ib_umem_dmabuf *(*get)(struct umem_dmabuf_ctx *ctx);
} get_params[] = {
	{ "pinned", get_pinned },
	{ "revocable", get_revocable },
};

KUNIT_ARRAY_PARAM_DESC(get, get_params, desc);

/* What exports memory of a device asks whether the importer can reach it at all. */
static void exporter_of_device_memory_lets_importer_in(struct kunit *test)
{
	const struct get_param *param = test->param_value;
	struct umem_dmabuf_ctx *ctx = test->priv;

	ctx->wants_peer2peer = true;
	ctx->umem_dmabuf = param->get(ctx);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, ctx->umem_dmabuf);
	KUNIT_EXPECT_EQ(test, ctx->mappings, 1);
}

/* Failures */

static void memory_that_cannot_be_mapped_is_unpinned_once(struct kunit *test)
{
	const struct get_param *param = test->param_value;
	struct umem_dmabuf_ctx *ctx = test->priv;

	ctx->map_error = -EREMOTEIO;
	KUNIT_EXPECT_PTR_EQ(test, param->get(ctx), ERR_PTR(-EREMOTEIO));
	expect_nothing_held(test);
}

static void memory_that_cannot_be_pinned_is_not_mapped(struct kunit *test)
{
	const struct get_param *param = test->param_value;
	struct umem_dmabuf_ctx *ctx = test->priv;

	ctx->pin_error = -EBUSY;
	KUNIT_EXPECT_PTR_EQ(test, param->get(ctx), ERR_PTR(-EBUSY));
	expect_nothing_held(test);
}

static void memory_that_was_revoked_is_not_mapped(struct kunit *test)
{
	const struct get_param *param = test->param_value;
	struct umem_dmabuf_ctx *ctx = test->priv;

	revoke(ctx);
	KUNIT_EXPECT_PTR_EQ(test, param->get(ctx), ERR_PTR(-ENODEV));
	expect_nothing_held(test);
}

/* Dynamic */

static void unmap_when_told(struct dma_buf_attachment *attach)
{
	ib_umem_dmabuf_unmap_pages(attach->importer_priv);
}

static const struct dma_buf_attach_ops dynamic_ops = {
	.invalidate_mappings = unmap_when_told,
};

static void dynamic_importer_maps_again_until_revoked(struct kunit *test)
{
	struct umem_dmabuf_ctx *ctx = test->priv;
	struct ib_umem_dmabuf *umem_dmabuf;

	ctx->wants_revocable = true;
	umem_dmabuf = ib_umem_dmabuf_get(ctx->ibdev, 0, BUFFER_SIZE, ctx->fd,
					 IB_ACCESS_LOCAL_WRITE, &dynamic_ops);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, umem_dmabuf);
	ctx->umem_dmabuf = umem_dmabuf;

	dma_resv_lock(ctx->dmabuf->resv, NULL);
	KUNIT_EXPECT_EQ(test, 0, ib_umem_dmabuf_map_pages(umem_dmabuf));
	KUNIT_EXPECT_EQ(test, ctx->mappings, 1);
	KUNIT_EXPECT_EQ_MSG(test, ctx->pins, 0, "memory that may move is pinned");
	dma_buf_invalidate_mappings(ctx->dmabuf);
	KUNIT_EXPECT_EQ(test, ctx->mappings, 0);
	KUNIT_EXPECT_EQ(test, 0, ib_umem_dmabuf_map_pages(umem_dmabuf));
	KUNIT_EXPECT_EQ(test, ctx->mappings, 1);
	dma_resv_unlock(ctx->dmabuf->resv);

	revoke(ctx);
	expect_nothing_held(test);

	dma_resv_lock(ctx->dmabuf->resv, NULL);
	KUNIT_EXPECT_EQ(test, -ENODEV, ib_umem_dmabuf_map_pages(umem_dmabuf));
	dma_resv_unlock(ctx->dmabuf->resv);
}

/* Set-up */

static void release_buffer(void *data)
{
	struct umem_dmabuf_ctx *ctx = data;

	if (!IS_ERR_OR_NULL(ctx->umem_dmabuf)) {
		if (dma_resv_is_locked(ctx->dmabuf->resv))
			dma_resv_unlock(ctx->dmabuf->resv);
		deregister(ctx);
	}
	/* The kernel thread has no user space to return to, which closes files. */
	close_fd(ctx->fd);
	flush_delayed_fput();
	__free_pages(ctx->pages, BUFFER_ORDER);
}

static int umem_dmabuf_init(struct kunit *test)
{
	DEFINE_DMA_BUF_EXPORT_INFO(exp_info);
	struct umem_dmabuf_ctx *ctx;
	struct device *dev;

	ctx = kunit_kzalloc(test, sizeof(*ctx), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ctx);
	test->priv = ctx;

	ctx->ibdev = kunit_kzalloc(test, sizeof(*ctx->ibdev), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ctx->ibdev);
	dev = kunit_device_register(test, "umem-dmabuf-kunit");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dev);
	KUNIT_ASSERT_EQ(test, 0, dma_coerce_mask_and_coherent(dev, DMA_BIT_MASK(64)));
	ctx->ibdev->dma_device = dev;

	ctx->pages = alloc_pages(GFP_KERNEL | __GFP_ZERO, BUFFER_ORDER);
	KUNIT_ASSERT_NOT_NULL(test, ctx->pages);

	exp_info.ops = &exporter_ops;
	exp_info.size = BUFFER_SIZE;
	exp_info.flags = O_RDWR;
	exp_info.priv = ctx;
	ctx->dmabuf = dma_buf_export(&exp_info);
	if (IS_ERR(ctx->dmabuf)) {
		__free_pages(ctx->pages, BUFFER_ORDER);
		KUNIT_FAIL_AND_ABORT(test, "no dma-buf");
	}
	ctx->fd = dma_buf_fd(ctx->dmabuf, O_CLOEXEC);
	if (ctx->fd < 0) {
		dma_buf_put(ctx->dmabuf);
		__free_pages(ctx->pages, BUFFER_ORDER);
		KUNIT_FAIL_AND_ABORT(test, "no file descriptor");
	}

	return kunit_add_action_or_reset(test, release_buffer, ctx);
}

static struct kunit_case umem_dmabuf_cases[] = {
	KUNIT_CASE(pinned_importer_is_turned_away_by_exporter_that_revokes),
	KUNIT_CASE(pinned_importer_keeps_memory_that_is_invalidated),
	KUNIT_CASE(revocable_importer_is_let_in),
	KUNIT_CASE(revocation_stops_device_before_memory_is_unmapped),
	KUNIT_CASE(revocation_is_for_good),
	KUNIT_CASE(release_stops_device_that_was_not_revoked),
	KUNIT_CASE(release_without_callback_unmaps),
	KUNIT_CASE(move_to_be_pinned_is_no_revocation),
	KUNIT_CASE(move_while_attaching_is_no_revocation),
	KUNIT_CASE_PARAM(exporter_of_device_memory_lets_importer_in, get_gen_params),
	KUNIT_CASE_PARAM(memory_that_cannot_be_mapped_is_unpinned_once, get_gen_params),
	KUNIT_CASE_PARAM(memory_that_cannot_be_pinned_is_not_mapped, get_gen_params),
	KUNIT_CASE_PARAM(memory_that_was_revoked_is_not_mapped, get_gen_params),
	KUNIT_CASE(dynamic_importer_maps_again_until_revoked),
	{}
};

static struct kunit_suite umem_dmabuf_suite = {
	.name = "umem_dmabuf",
	.init = umem_dmabuf_init,
	.test_cases = umem_dmabuf_cases,
};

kunit_test_suite(umem_dmabuf_suite);

MODULE_DESCRIPTION("KUnit tests for RDMA memory regions over dma-bufs");
MODULE_IMPORT_NS("DMA_BUF");
MODULE_LICENSE("GPL");
