/* SPDX-License-Identifier: GPL-2.0 */
/*
 * An exporter of device memory, as an example.
 *
 * A driver that lets other devices have the memory in a BAR of its device as
 * dma-bufs, and takes it back when it has to. It is complete but for the
 * struct pci_driver and for what makes user space call bar_export(), and it is
 * what Documentation/driver-api/dma-buf.rst shows. It is not code to share: a
 * driver does all of this its own way. Only tests include it, to run it.
 */
#ifndef EXAMPLE_EXPORTER_H
#define EXAMPLE_EXPORTER_H

#include <linux/atomic.h>
#include <linux/dma-buf.h>
#include <linux/dma-buf-mapping.h>
#include <linux/dma-resv.h>
#include <linux/fcntl.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/pci-p2pdma.h>
#include <linux/slab.h>
#include <linux/wait_bit.h>

#define BAR	2

/* What the driver knows about a device. */
struct bar {
	struct pci_dev *pdev;
	struct p2pdma_provider *provider;
	struct list_head bufs;		/* which are not revoked */
	atomic_t mappings;		/* of all of them */
};

/* A part of the BAR. User space may keep it for longer than there is a device. */
struct bar_buf {
	struct dma_buf *dmabuf;
	struct bar *bar;		/* not there any more once revoked */
	struct list_head node;
	struct phys_vec range;
	bool revoked;			/* under the reservation lock */
};

/*
 * For the lists of all devices: what is on one is not freed under the lock. The
 * lock is not part of struct bar, as buffers are released after it is gone.
 */
static DEFINE_MUTEX(bar_bufs_lock);

static int bar_attach(struct dma_buf *dmabuf, struct dma_buf_attachment *attach)
{
	/* The memory cannot go to the importer, so the importer comes for it... */
	if (!attach->peer2peer)
		return -EOPNOTSUPP;

	/* ...and has to let go of it when it is told to. */
	if (!dma_buf_attach_revocable(attach))
		return -EOPNOTSUPP;

	return 0;
}

static struct sg_table *bar_map(struct dma_buf_attachment *attach,
				enum dma_data_direction dir)
{
	struct bar_buf *buf = attach->dmabuf->priv;
	struct sg_table *sgt;

	if (buf->revoked)
		return ERR_PTR(-ENODEV);

	sgt = dma_buf_phys_vec_to_sgt(attach, buf->bar->provider, &buf->range, 1,
				      buf->range.len, dir);
	if (!IS_ERR(sgt))
		atomic_inc(&buf->bar->mappings);

	return sgt;
}

static void bar_unmap(struct dma_buf_attachment *attach, struct sg_table *sgt,
		      enum dma_data_direction dir)
{
	struct bar_buf *buf = attach->dmabuf->priv;
	atomic_t *mappings = &buf->bar->mappings;

	dma_buf_free_sgt(attach, sgt, dir);

	/* With the last mapping, all but the address of the counter may be gone. */
	if (atomic_dec_and_test(mappings))
		wake_up_var(mappings);
}

static void bar_release(struct dma_buf *dmabuf)
{
	struct bar_buf *buf = dmabuf->priv;

	mutex_lock(&bar_bufs_lock);
	list_del(&buf->node);
	mutex_unlock(&bar_bufs_lock);

	kfree(buf);
}

/*
 * There is no pin and no unpin: the memory never moves, so that any importer may
 * call dma_buf_pin(). A pin does not keep the memory from being revoked.
 */
static const struct dma_buf_ops bar_buf_ops = {
	.attach = bar_attach,
	.map_dma_buf = bar_map,
	.unmap_dma_buf = bar_unmap,
	.release = bar_release,
};

/* Return a part of the BAR as a dma-buf, for dma_buf_fd(). */
static struct dma_buf *bar_export(struct bar *bar, u64 offset, u64 size)
{
	u64 len = pci_resource_len(bar->pdev, BAR);
	DEFINE_DMA_BUF_EXPORT_INFO(exp_info);
	struct dma_buf *dmabuf;
	struct bar_buf *buf;

	if (!size || !PAGE_ALIGNED(offset) || !PAGE_ALIGNED(size))
		return ERR_PTR(-EINVAL);
	if (offset > len || size > len - offset)
		return ERR_PTR(-EINVAL);

	buf = kzalloc(sizeof(*buf), GFP_KERNEL);
	if (!buf)
		return ERR_PTR(-ENOMEM);

	buf->bar = bar;
	buf->range.paddr = pci_resource_start(bar->pdev, BAR) + offset;
	buf->range.len = size;

	exp_info.ops = &bar_buf_ops;
	exp_info.size = size;
	exp_info.flags = O_RDWR;
	exp_info.priv = buf;

	dmabuf = dma_buf_export(&exp_info);
	if (IS_ERR(dmabuf)) {
		kfree(buf);
		return dmabuf;
	}

	/* From here on bar_release() frees it. */
	buf->dmabuf = dmabuf;
	mutex_lock(&bar_bufs_lock);
	list_add(&buf->node, &bar->bufs);
	mutex_unlock(&bar_bufs_lock);

	return dmabuf;
}

/*
 * Take all of the memory back. When this returns no device uses it, and none
 * ever will through a dma-buf that exists now.
 *
 * For whenever the memory goes away: before the driver is unbound, the device
 * is reset or put to sleep, or the BAR is disabled, resized or moved. The caller
 * sees to it that nothing is exported meanwhile.
 */
static void bar_revoke(struct bar *bar)
{
	struct bar_buf *buf, *next;

	/*
	 * The last reference to the dma-buf may be gone already, but as long as
	 * it is on the list, bar_release() waits for the mutex.
	 */
	mutex_lock(&bar_bufs_lock);
	list_for_each_entry_safe(buf, next, &bar->bufs, node) {
		dma_resv_lock(buf->dmabuf->resv, NULL);

		/* 1. Importers that map again are refused. */
		buf->revoked = true;

		/* 2. Importers are told. Some unmap at once, others soon. */
		dma_buf_invalidate_mappings(buf->dmabuf);

		/*
		 * 3. They may use the memory until all fences have signalled.
		 * Nothing else ends the wait, so it has no result to look at.
		 */
		dma_resv_wait_timeout(buf->dmabuf->resv, DMA_RESV_USAGE_BOOKKEEP,
				      false, MAX_SCHEDULE_TIMEOUT);

		/* 4. Importers need the lock to unmap. */
		dma_resv_unlock(buf->dmabuf->resv);

		list_del_init(&buf->node);
	}
	mutex_unlock(&bar_bufs_lock);

	/* 5. Until then they may read the memory, and need the provider. */
	wait_var_event(&bar->mappings, !atomic_read_acquire(&bar->mappings));
}

static int bar_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct bar *bar;
	int ret;

	bar = devm_kzalloc(&pdev->dev, sizeof(*bar), GFP_KERNEL);
	if (!bar)
		return -ENOMEM;

	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;

	ret = pcim_request_region(pdev, BAR, KBUILD_MODNAME);
	if (ret)
		return ret;

	ret = pcim_p2pdma_init(pdev);
	if (ret)
		return ret;

	bar->provider = pcim_p2pdma_provider(pdev, BAR);
	if (!bar->provider)
		return -ENODEV;

	bar->pdev = pdev;
	INIT_LIST_HEAD(&bar->bufs);
	atomic_set(&bar->mappings, 0);
	pci_set_drvdata(pdev, bar);

	return 0;
}

static void bar_remove(struct pci_dev *pdev)
{
	/* The provider ends with the driver, so nothing may be mapped after this. */
	bar_revoke(pci_get_drvdata(pdev));
}

static const struct pci_device_id bar_ids[] = {
	{ PCI_DEVICE(0x1af4, 0x1110) },
	{}
};

#endif /* EXAMPLE_EXPORTER_H */
