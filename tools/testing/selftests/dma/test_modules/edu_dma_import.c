// SPDX-License-Identifier: GPL-2.0
/*
 * Mappings of dma-bufs, whose exporter may take the memory back at any time.
 *
 * When it does, the device may be at work in it. A fence tells the exporter how long,
 * and the transfer unmaps when it is done. If there is no transfer, the callback does.
 */
#include <linux/dma-buf.h>
#include <linux/dma-fence.h>
#include <linux/dma-resv.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "edu_dma_priv.h"

/**
 * struct edu_dma_imported - a dma-buf
 * @mapping: what the rest of the driver sees
 * @dmabuf: the dma-buf
 * @attach: the device's use of it; NULL if it is not mapped
 * @unaware: there is no callback
 * @sgt: the DMA segments; NULL if the exporter has taken them back. Protected, as is
 *	all that follows, by the reservation lock of @dmabuf.
 * @busy: a transfer uses @sgt
 * @taken_back: @sgt has to be given up as soon as it is not @busy
 */
struct edu_dma_imported {
	struct edu_dma_mapping mapping;
	struct dma_buf *dmabuf;
	struct dma_buf_attachment *attach;
	bool unaware;

	struct sg_table *sgt;
	bool busy;
	bool taken_back;
};

struct edu_dma_fence {
	struct dma_fence base;
	spinlock_t lock;	/* of @base */
};

static struct edu_dma_imported *to_imported(struct edu_dma_mapping *mapping)
{
	return container_of(mapping, struct edu_dma_imported, mapping);
}

static const char *edu_dma_fence_name(struct dma_fence *fence)
{
	return KBUILD_MODNAME;
}

static void edu_dma_fence_release(struct dma_fence *fence)
{
	dma_fence_free(fence);
	module_put(THIS_MODULE);
}

static const struct dma_fence_ops edu_dma_fence_ops = {
	.get_driver_name = edu_dma_fence_name,
	.get_timeline_name = edu_dma_fence_name,
	.release = edu_dma_fence_release,
};

static struct dma_fence *edu_dma_fence_create(void)
{
	struct edu_dma_fence *fence = kzalloc(sizeof(*fence), GFP_KERNEL);

	if (!fence)
		return NULL;

	/* The dma-buf may keep the fence for longer than the file is open. */
	__module_get(THIS_MODULE);
	spin_lock_init(&fence->lock);
	/* Nobody compares it with another one, so each is a timeline of its own. */
	dma_fence_init(&fence->base, &edu_dma_fence_ops, &fence->lock,
		       dma_fence_context_alloc(1), 1);
	return &fence->base;
}

static void edu_dma_imported_unmap_sgt(struct edu_dma_imported *imported,
				       struct dma_buf_attachment *attach)
{
	struct sg_table *sgt = imported->sgt;

	dma_resv_assert_held(imported->dmabuf->resv);

	/* An exporter that waits for the unmapping may ask again. */
	imported->sgt = NULL;
	imported->taken_back = false;
	if (sgt)
		dma_buf_unmap_attachment(attach, sgt, DMA_BIDIRECTIONAL);
}

static void edu_dma_imported_invalidate(struct dma_buf_attachment *attach)
{
	struct edu_dma_imported *imported = attach->importer_priv;

	if (imported->busy)
		imported->taken_back = true;
	else
		edu_dma_imported_unmap_sgt(imported, attach);
}

static const struct dma_buf_attach_ops edu_dma_attach_ops = {
	.allow_peer2peer = true,
	.invalidate_mappings = edu_dma_imported_invalidate,
};

static const struct dma_buf_attach_ops edu_dma_unaware_attach_ops = {
	.allow_peer2peer = true,
};

/* Have the segments, again if they have been taken back. */
static int edu_dma_imported_map_sgt(struct edu_dma_imported *imported)
{
	struct sg_table *sgt;

	dma_resv_assert_held(imported->dmabuf->resv);

	if (imported->sgt)
		return 0;

	sgt = dma_buf_map_attachment(imported->attach, DMA_BIDIRECTIONAL);
	if (IS_ERR(sgt))
		return PTR_ERR(sgt);

	imported->sgt = sgt;
	return 0;
}

static int edu_dma_imported_map(struct edu_dma *edu, struct edu_dma_mapping *mapping)
{
	struct edu_dma_imported *imported = to_imported(mapping);
	struct dma_buf_attachment *attach;
	int ret;

	attach = dma_buf_dynamic_attach(imported->dmabuf, &edu->pdev->dev,
					imported->unaware ?
					&edu_dma_unaware_attach_ops :
					&edu_dma_attach_ops, imported);
	if (IS_ERR(attach))
		return PTR_ERR(attach);
	imported->attach = attach;

	dma_resv_lock(imported->dmabuf->resv, NULL);
	ret = edu_dma_imported_map_sgt(imported);
	dma_resv_unlock(imported->dmabuf->resv);
	if (ret) {
		imported->attach = NULL;
		dma_buf_detach(imported->dmabuf, attach);
	}

	return ret;
}

static void edu_dma_imported_unmap(struct edu_dma *edu, struct edu_dma_mapping *mapping)
{
	struct edu_dma_imported *imported = to_imported(mapping);
	struct dma_buf_attachment *attach = imported->attach;

	dma_resv_lock(imported->dmabuf->resv, NULL);
	edu_dma_imported_unmap_sgt(imported, attach);
	dma_resv_unlock(imported->dmabuf->resv);

	imported->attach = NULL;
	dma_buf_detach(imported->dmabuf, attach);
}

/* From here to the end of the transfer the exporter waits for the device. */
static int edu_dma_imported_begin(struct edu_dma_imported *imported,
				  struct dma_fence *fence)
{
	struct dma_resv *resv = imported->dmabuf->resv;
	int ret;

	dma_resv_lock(resv, NULL);
	ret = edu_dma_imported_map_sgt(imported);
	if (ret)
		goto unlock;
	/* An exporter may be moving the memory to where it has just mapped it. */
	dma_resv_wait_timeout(resv, DMA_RESV_USAGE_KERNEL, false,
			      MAX_SCHEDULE_TIMEOUT);
	ret = dma_resv_reserve_fences(resv, 1);
	if (ret)
		goto unlock;

	dma_resv_add_fence(resv, fence, DMA_RESV_USAGE_BOOKKEEP);
	imported->busy = true;
unlock:
	dma_resv_unlock(resv);
	return ret;
}

static void edu_dma_imported_end(struct edu_dma_imported *imported)
{
	dma_resv_lock(imported->dmabuf->resv, NULL);
	imported->busy = false;
	if (imported->taken_back)
		edu_dma_imported_unmap_sgt(imported, imported->attach);
	dma_resv_unlock(imported->dmabuf->resv);
}

static int edu_dma_imported_transfer(struct edu_dma *edu,
				     struct edu_dma_mapping *mapping,
				     struct edu_dma_access *access)
{
	struct edu_dma_imported *imported = to_imported(mapping);
	struct dma_fence *fence;
	bool cookie;
	int ret;

	fence = edu_dma_fence_create();
	if (!fence)
		return -ENOMEM;

	ret = edu_dma_imported_begin(imported, fence);
	if (ret)
		goto put;

	cookie = dma_fence_begin_signalling();
	ret = edu_dma_run_sgt(edu, imported->sgt, access);
	if (ret)
		dma_fence_set_error(fence, ret);
	dma_fence_signal(fence);
	dma_fence_end_signalling(cookie);

	edu_dma_imported_end(imported);
put:
	dma_fence_put(fence);
	return ret;
}

static void edu_dma_imported_free(struct edu_dma_mapping *mapping)
{
	struct edu_dma_imported *imported = to_imported(mapping);

	dma_buf_put(imported->dmabuf);
	kfree(imported);
}

static const struct edu_dma_mapping_ops edu_dma_imported_ops = {
	.map = edu_dma_imported_map,
	.unmap = edu_dma_imported_unmap,
	.transfer = edu_dma_imported_transfer,
	.free = edu_dma_imported_free,
};

struct edu_dma_mapping *edu_dma_import_create(struct edu_dma_import *arg)
{
	struct edu_dma_imported *imported;
	struct dma_buf *dmabuf;

	dmabuf = dma_buf_get(arg->fd);
	if (IS_ERR(dmabuf))
		return ERR_CAST(dmabuf);

	imported = kzalloc(sizeof(*imported), GFP_KERNEL);
	if (!imported) {
		dma_buf_put(dmabuf);
		return ERR_PTR(-ENOMEM);
	}

	imported->dmabuf = dmabuf;
	imported->unaware = arg->flags & EDU_DMA_IMPORT_UNAWARE;
	edu_dma_mapping_init(&imported->mapping, &edu_dma_imported_ops, dmabuf->size);
	arg->length = dmabuf->size;
	return &imported->mapping;
}

MODULE_IMPORT_NS("DMA_BUF");
