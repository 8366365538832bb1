// SPDX-License-Identifier: GPL-2.0
/*
 * Driver of QEMU's "edu" PCI device for the selftests of the DMA API.
 *
 * It maps memory of a process for the device once and lets the device read and
 * write it while the process uses it, as RDMA does with a memory region. See
 * edu_dma.h for the interface.
 *
 * There is not a single dma_sync_*() call in here, and there must not be one.
 * What the tests ask is whether a mapping works without any: they stand for user
 * space and a device that share memory with no kernel in between.
 *
 * Nor does this file name any DMA_ATTR_* bit. They come from user space and go to
 * the DMA API as they are, so that the same source shows what a kernel does with
 * an attribute it implements, and with one it has never heard of.
 */
#include <linux/dma-mapping.h>
#include <linux/fs.h>
#include <linux/idr.h>
#include <linux/io.h>
#include <linux/iopoll.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/overflow.h>
#include <linux/pci.h>
#include <linux/scatterlist.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/xarray.h>

#include "edu_dma_priv.h"

#define EDU_VENDOR_ID		0x1234
#define EDU_DEVICE_ID		0x11e8

/*
 * The registers of the DMA engine take a value in one access only: there is none
 * for an upper half, which a write of 32 bits clears. Hence edu_dma_write().
 */
#define EDU_ID			0x00
#define EDU_ID_MASK		0xff
#define EDU_ID_VALUE		0xed
#define EDU_DMA_SRC		0x80
#define EDU_DMA_DST		0x88
#define EDU_DMA_COUNT		0x90
#define EDU_DMA_CMD		0x98
#define EDU_DMA_CMD_RUN		BIT(0)
#define EDU_DMA_CMD_TO_RAM	BIT(1)

/* What a CPU writes in one access: with 32 bits, the device has no more to address. */
#define EDU_DMA_REGISTER_BITS	BITS_PER_LONG

/* Where the device's own buffer is, for its DMA engine. */
#define EDU_DMA_BUFFER		0x40000

/* A transfer takes 0.1 s of the virtual machine's time; hosts can be slow. */
#define EDU_DMA_POLL_US		1000
#define EDU_DMA_TIMEOUT_US	(5 * USEC_PER_SEC)

/*
 * A segment must not outgrow what SWIOTLB can bounce, 256 KiB: the tests need to
 * see a bounce, not a failure for want of one.
 */
#define EDU_DMA_MAX_SEGMENT	SZ_64K

/**
 * struct edu_dma_file - one open file
 * @edu: the device it is for
 * @mappings: its &struct edu_dma_mapping, by handle
 */
struct edu_dma_file {
	struct edu_dma *edu;
	struct xarray mappings;
};

/**
 * struct edu_dma_pages - user memory that is pinned for as long as it is mapped
 * @mapping: what the rest of the driver sees
 * @pages: the pinned pages
 * @nr_pages: their number
 * @offset: where the memory begins in the first page
 * @attrs: what it was mapped with, for unmapping it
 * @single: it is part of one page and has @dma_addr; otherwise it has @sgt
 * @dma_addr: the DMA address
 * @sgt: the list of segments
 */
struct edu_dma_pages {
	struct edu_dma_mapping mapping;
	struct page **pages;
	unsigned long nr_pages;
	unsigned int offset;
	unsigned long attrs;
	bool single;
	dma_addr_t dma_addr;
	struct sg_table sgt;
};

static DEFINE_IDA(edu_dma_ida);

/* Not devm: files may stay open for longer than there is a device. */
static struct edu_dma *edu_dma_alloc(struct pci_dev *pdev, void __iomem *mmio)
{
	struct edu_dma *edu = kzalloc(sizeof(*edu), GFP_KERNEL);

	if (!edu)
		return NULL;

	kref_init(&edu->ref);
	mutex_init(&edu->lock);
	INIT_LIST_HEAD(&edu->mappings);
	edu->pdev = pdev;
	edu->mmio = mmio;
	return edu;
}

static void edu_dma_free(struct kref *ref)
{
	struct edu_dma *edu = container_of(ref, struct edu_dma, ref);

	mutex_destroy(&edu->lock);
	kfree(edu);
}

static void edu_dma_write(struct edu_dma *edu, u64 value, unsigned int reg)
{
#ifdef CONFIG_64BIT
	writeq(value, edu->mmio + reg);
#else
	/* The DMA mask does not let addresses be longer. */
	WARN_ON_ONCE(upper_32_bits(value));
	writel(value, edu->mmio + reg);
#endif
}

/*
 * Transfer between memory and the device's own buffer, and wait until it is done. Not
 * for anything to be interrupted: the device works to the end in any case.
 */
int edu_dma_run(struct edu_dma *edu, dma_addr_t addr,
		const struct edu_dma_access *access)
{
	u64 buffer = EDU_DMA_BUFFER + access->buffer;
	u32 cmd;
	int ret;

	lockdep_assert_held(&edu->lock);

	if (access->direction == EDU_DMA_TO_DEVICE) {
		edu_dma_write(edu, addr, EDU_DMA_SRC);
		edu_dma_write(edu, buffer, EDU_DMA_DST);
		cmd = EDU_DMA_CMD_RUN;
	} else {
		edu_dma_write(edu, buffer, EDU_DMA_SRC);
		edu_dma_write(edu, addr, EDU_DMA_DST);
		cmd = EDU_DMA_CMD_RUN | EDU_DMA_CMD_TO_RAM;
	}
	edu_dma_write(edu, access->length, EDU_DMA_COUNT);
	edu_dma_write(edu, cmd, EDU_DMA_CMD);

	ret = readl_poll_timeout(edu->mmio + EDU_DMA_CMD, cmd,
				 !(cmd & EDU_DMA_CMD_RUN),
				 EDU_DMA_POLL_US, EDU_DMA_TIMEOUT_US);
	if (!ret)
		return 0;

	/*
	 * The device cannot be told to stop, and the memory will be somebody
	 * else's one day: cut the device off.
	 */
	edu->stuck = true;
	pci_clear_master(edu->pdev);
	pci_err(edu->pdev, "DMA timed out; the device is out of use\n");
	return ret;
}

/* The same with the segment of a list in which the access begins. */
int edu_dma_run_sgt(struct edu_dma *edu, struct sg_table *sgt,
		    struct edu_dma_access *access)
{
	u64 offset = access->offset;
	struct scatterlist *sg;
	int i;

	for_each_sgtable_dma_sg(sgt, sg, i) {
		if (offset < sg_dma_len(sg)) {
			access->length = min_t(u64, access->length,
					       sg_dma_len(sg) - offset);
			return edu_dma_run(edu, sg_dma_address(sg) + offset, access);
		}
		offset -= sg_dma_len(sg);
	}

	/* The list is shorter than the mapping. */
	WARN_ON_ONCE(1);
	return -EIO;
}

/* Pinned pages */

static struct edu_dma_pages *to_pages(struct edu_dma_mapping *mapping)
{
	return container_of(mapping, struct edu_dma_pages, mapping);
}

static int edu_dma_pages_map(struct edu_dma *edu, struct edu_dma_mapping *mapping)
{
	struct edu_dma_pages *pages = to_pages(mapping);
	struct device *dev = &edu->pdev->dev;

	if (!pages->single)
		return dma_map_sgtable(dev, &pages->sgt, DMA_BIDIRECTIONAL,
				       pages->attrs);

	pages->dma_addr = dma_map_page_attrs(dev, pages->pages[0], pages->offset,
					     mapping->length, DMA_BIDIRECTIONAL,
					     pages->attrs);
	return dma_mapping_error(dev, pages->dma_addr) ? -EIO : 0;
}

static void edu_dma_pages_unmap(struct edu_dma *edu, struct edu_dma_mapping *mapping)
{
	struct edu_dma_pages *pages = to_pages(mapping);
	struct device *dev = &edu->pdev->dev;

	if (pages->single)
		dma_unmap_page_attrs(dev, pages->dma_addr, mapping->length,
				     DMA_BIDIRECTIONAL, pages->attrs);
	else
		dma_unmap_sgtable(dev, &pages->sgt, DMA_BIDIRECTIONAL, pages->attrs);
}

static int edu_dma_pages_transfer(struct edu_dma *edu, struct edu_dma_mapping *mapping,
				  struct edu_dma_access *access)
{
	struct edu_dma_pages *pages = to_pages(mapping);

	if (pages->single)
		return edu_dma_run(edu, pages->dma_addr + access->offset, access);
	return edu_dma_run_sgt(edu, &pages->sgt, access);
}

static void edu_dma_pages_free(struct edu_dma_mapping *mapping)
{
	struct edu_dma_pages *pages = to_pages(mapping);

	if (!pages->single)
		sg_free_table(&pages->sgt);
	/* The device may have written to any of them. */
	unpin_user_pages_dirty_lock(pages->pages, pages->nr_pages, true);
	kvfree(pages->pages);
	kfree(pages);
}

static const struct edu_dma_mapping_ops edu_dma_pages_ops = {
	.map = edu_dma_pages_map,
	.unmap = edu_dma_pages_unmap,
	.transfer = edu_dma_pages_transfer,
	.free = edu_dma_pages_free,
};

/*
 * Pins do not count against RLIMIT_MEMLOCK. That limit is for users without
 * CAP_IPC_LOCK, and the device is there for root alone.
 */
static int edu_dma_pin(struct edu_dma_pages *pages, unsigned long addr)
{
	unsigned long pinned = 0;
	int ret;

	pages->nr_pages = PFN_UP(pages->offset + pages->mapping.length);
	pages->pages = kvmalloc_array(pages->nr_pages, sizeof(*pages->pages),
				      GFP_KERNEL);
	if (!pages->pages)
		return -ENOMEM;

	/* A short count says that the next page fails, but not why. Ask again. */
	while (pinned < pages->nr_pages) {
		ret = pin_user_pages_fast((addr & PAGE_MASK) + pinned * PAGE_SIZE,
					  pages->nr_pages - pinned,
					  FOLL_WRITE | FOLL_LONGTERM,
					  pages->pages + pinned);
		if (ret < 0)
			goto err_unpin;
		pinned += ret;
	}

	return 0;

err_unpin:
	unpin_user_pages(pages->pages, pinned);
	kvfree(pages->pages);
	return ret;
}

/*
 * Pin the memory and make its list. This may fault pages in, and so wait for user
 * space: not for callers with the device's lock.
 */
static struct edu_dma_mapping *edu_dma_pages_create(const struct edu_dma_map *arg)
{
	struct edu_dma_pages *pages = kzalloc(sizeof(*pages), GFP_KERNEL);
	int ret;

	if (!pages)
		return ERR_PTR(-ENOMEM);

	edu_dma_mapping_init(&pages->mapping, &edu_dma_pages_ops, arg->length);
	pages->offset = offset_in_page(arg->addr);
	pages->attrs = arg->attrs;
	pages->single = arg->flags & EDU_DMA_MAP_PAGE;

	ret = edu_dma_pin(pages, arg->addr);
	if (ret)
		goto err_free;

	if (pages->single)
		return &pages->mapping;

	ret = sg_alloc_table_from_pages_segment(&pages->sgt, pages->pages,
						pages->nr_pages, pages->offset,
						arg->length, EDU_DMA_MAX_SEGMENT,
						GFP_KERNEL);
	if (ret)
		goto err_unpin;

	return &pages->mapping;

err_unpin:
	unpin_user_pages(pages->pages, pages->nr_pages);
	kvfree(pages->pages);
err_free:
	kfree(pages);
	return ERR_PTR(ret);
}

/* All kinds of mappings */

void edu_dma_mapping_init(struct edu_dma_mapping *mapping,
			  const struct edu_dma_mapping_ops *ops, u64 length)
{
	kref_init(&mapping->ref);
	INIT_LIST_HEAD(&mapping->node);
	mapping->ops = ops;
	mapping->length = length;
}

static void edu_dma_mapping_release(struct kref *ref)
{
	struct edu_dma_mapping *mapping =
		container_of(ref, struct edu_dma_mapping, ref);

	mapping->ops->free(mapping);
}

static void edu_dma_mapping_put(struct edu_dma_mapping *mapping)
{
	kref_put(&mapping->ref, edu_dma_mapping_release);
}

static int edu_dma_map(struct edu_dma *edu, struct edu_dma_mapping *mapping,
		       u32 dma_bits)
{
	int ret;

	lockdep_assert_held(&edu->lock);

	if (!edu->pdev)
		return -ENODEV;

	if (edu->dma_bits != dma_bits) {
		if (!list_empty(&edu->mappings))
			return -EBUSY;
		/* Not the errno of the call: -EIO is what a refused page gets. */
		if (dma_set_mask(&edu->pdev->dev,
				 DMA_BIT_MASK(min(dma_bits, EDU_DMA_REGISTER_BITS))))
			return -ENXIO;
		edu->dma_bits = dma_bits;
	}

	ret = mapping->ops->map(edu, mapping);
	if (ret)
		return ret;

	list_add(&mapping->node, &edu->mappings);
	return 0;
}

static void edu_dma_unmap(struct edu_dma *edu, struct edu_dma_mapping *mapping)
{
	lockdep_assert_held(&edu->lock);

	list_del_init(&mapping->node);
	mapping->ops->unmap(edu, mapping);
}

/*
 * Map, and give the mapping a handle, which goes to @uhandle. Takes over the mapping,
 * also on failure.
 */
static int edu_dma_add(struct edu_dma_file *file, struct edu_dma_mapping *mapping,
		       u32 dma_bits, u32 __user *uhandle)
{
	struct edu_dma *edu = file->edu;
	u32 handle;
	int ret;

	/*
	 * Hand the handle out before there is anything behind it. What can fail
	 * here then fails before the memory is mapped, and nobody else can guess
	 * a handle and unmap what this call is about to return.
	 */
	ret = xa_alloc(&file->mappings, &handle, NULL, xa_limit_32b, GFP_KERNEL);
	if (ret)
		goto err_put;
	if (put_user(handle, uhandle)) {
		ret = -EFAULT;
		goto err_release;
	}

	ret = mutex_lock_killable(&edu->lock);
	if (ret)
		goto err_release;
	ret = edu_dma_map(edu, mapping, dma_bits);
	if (!ret)
		/* The entry is reserved, so this needs no memory. */
		xa_store(&file->mappings, handle, mapping, GFP_KERNEL);
	mutex_unlock(&edu->lock);
	if (ret)
		goto err_release;

	return 0;

err_release:
	xa_release(&file->mappings, handle);
err_put:
	edu_dma_mapping_put(mapping);
	return ret;
}

static int edu_dma_transfer_some(struct edu_dma *edu, struct edu_dma_mapping *mapping,
				 struct edu_dma_access *access)
{
	int ret;

	if (mapping->ops->find) {
		ret = mapping->ops->find(mapping, access);
		if (ret)
			return ret;
	}

	ret = mutex_lock_killable(&edu->lock);
	if (ret)
		return ret;

	if (!edu->pdev)
		ret = -ENODEV;
	else if (edu->stuck)
		ret = -EIO;
	else if (list_empty(&mapping->node))
		ret = -ENOENT;
	else
		ret = mapping->ops->transfer(edu, mapping, access);
	mutex_unlock(&edu->lock);
	return ret;
}

static int edu_dma_transfer(struct edu_dma *edu, struct edu_dma_mapping *mapping,
			    const struct edu_dma_transfer *arg)
{
	struct edu_dma_access access = { .direction = arg->direction };
	u32 done = 0;
	int ret;

	if (arg->offset > mapping->length ||
	    arg->length > mapping->length - arg->offset)
		return -EINVAL;

	while (done < arg->length) {
		if (fatal_signal_pending(current))
			return -EINTR;

		access.offset = arg->offset + done;
		access.buffer = done;
		access.length = arg->length - done;
		ret = edu_dma_transfer_some(edu, mapping, &access);
		/* Without a find, this is an error of the exporter like others. */
		if (ret == -EAGAIN && mapping->ops->find)
			continue;
		if (ret)
			return ret;
		done += access.length;
	}

	return 0;
}

/*
 * The mapping with a handle, for edu_dma_mapping_put(). Not with the device's lock:
 * whoever looks memory up need not wait for the device to do so.
 */
static struct edu_dma_mapping *edu_dma_mapping_get(struct edu_dma_file *file, u32 handle)
{
	struct edu_dma_mapping *mapping;

	xa_lock(&file->mappings);
	mapping = xa_load(&file->mappings, handle);
	if (mapping)
		kref_get(&mapping->ref);
	xa_unlock(&file->mappings);
	return mapping ? mapping : ERR_PTR(-ENOENT);
}

/* The ioctls */

static int edu_dma_ioctl_map(struct edu_dma_file *file,
			     struct edu_dma_map __user *uarg)
{
	struct edu_dma_mapping *mapping;
	struct edu_dma_map arg;
	u64 last;

	if (copy_from_user(&arg, uarg, sizeof(arg)))
		return -EFAULT;
	if (arg.flags & ~(EDU_DMA_MAP_PAGE | EDU_DMA_MAP_MIRROR) || arg.pad)
		return -EINVAL;
	if (!arg.dma_bits || arg.dma_bits > 64)
		return -EINVAL;
	if (!arg.length)
		return -EINVAL;
	if (arg.length > EDU_DMA_MAX_LENGTH)
		return -E2BIG;
	if (check_add_overflow(arg.addr, arg.length - 1, &last))
		return -EINVAL;
	if (arg.flags & EDU_DMA_MAP_PAGE && PFN_DOWN(arg.addr) != PFN_DOWN(last))
		return -EINVAL;
	/* At the very end of the address space, pins and mirrors fail in ways of their own. */
	if (last > ULONG_MAX)
		return -EFAULT;
	if (!access_ok(u64_to_user_ptr(arg.addr), arg.length))
		return -EFAULT;

	if (!(arg.flags & EDU_DMA_MAP_MIRROR))
		mapping = edu_dma_pages_create(&arg);
	else if (arg.flags & EDU_DMA_MAP_PAGE)
		mapping = ERR_PTR(-EINVAL);
	else
		mapping = edu_dma_mirror_create(&arg);
	if (IS_ERR(mapping))
		return PTR_ERR(mapping);

	return edu_dma_add(file, mapping, arg.dma_bits, &uarg->handle);
}

static int edu_dma_ioctl_import(struct edu_dma_file *file,
				struct edu_dma_import __user *uarg)
{
	struct edu_dma_mapping *mapping;
	struct edu_dma_import arg;

	if (copy_from_user(&arg, uarg, sizeof(arg)))
		return -EFAULT;
	if (arg.flags & ~EDU_DMA_IMPORT_UNAWARE)
		return -EINVAL;
	if (!arg.dma_bits || arg.dma_bits > 64)
		return -EINVAL;

	mapping = edu_dma_import_create(&arg);
	if (IS_ERR(mapping))
		return PTR_ERR(mapping);
	if (put_user(arg.length, &uarg->length)) {
		edu_dma_mapping_put(mapping);
		return -EFAULT;
	}

	return edu_dma_add(file, mapping, arg.dma_bits, &uarg->handle);
}

static int edu_dma_ioctl_transfer(struct edu_dma_file *file,
				  struct edu_dma_transfer __user *uarg)
{
	struct edu_dma_mapping *mapping;
	struct edu_dma_transfer arg;
	int ret;

	if (copy_from_user(&arg, uarg, sizeof(arg)))
		return -EFAULT;
	if (arg.direction != EDU_DMA_TO_DEVICE &&
	    arg.direction != EDU_DMA_FROM_DEVICE)
		return -EINVAL;
	if (!arg.length || arg.length > EDU_DMA_MAX_TRANSFER || arg.pad)
		return -EINVAL;

	mapping = edu_dma_mapping_get(file, arg.handle);
	if (IS_ERR(mapping))
		return PTR_ERR(mapping);
	ret = edu_dma_transfer(file->edu, mapping, &arg);
	edu_dma_mapping_put(mapping);
	return ret;
}

static int edu_dma_ioctl_unmap(struct edu_dma_file *file,
			       struct edu_dma_unmap __user *uarg)
{
	struct edu_dma *edu = file->edu;
	struct edu_dma_mapping *mapping;
	struct edu_dma_unmap arg;
	int ret;

	if (copy_from_user(&arg, uarg, sizeof(arg)))
		return -EFAULT;
	if (arg.pad)
		return -EINVAL;

	ret = mutex_lock_killable(&edu->lock);
	if (ret)
		return ret;
	if (!edu->pdev) {
		ret = -ENODEV;
		goto unlock;
	}
	/* Not xa_erase(): that would take a reserved entry from another thread. */
	mapping = xa_load(&file->mappings, arg.handle);
	if (!mapping) {
		ret = -ENOENT;
		goto unlock;
	}
	xa_erase(&file->mappings, arg.handle);
	edu_dma_unmap(edu, mapping);
	mutex_unlock(&edu->lock);

	edu_dma_mapping_put(mapping);
	return 0;

unlock:
	mutex_unlock(&edu->lock);
	return ret;
}

static long edu_dma_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	void __user *uarg = (void __user *)arg;

	switch (cmd) {
	case EDU_DMA_MAP:
		return edu_dma_ioctl_map(filp->private_data, uarg);
	case EDU_DMA_TRANSFER:
		return edu_dma_ioctl_transfer(filp->private_data, uarg);
	case EDU_DMA_UNMAP:
		return edu_dma_ioctl_unmap(filp->private_data, uarg);
	case EDU_DMA_IMPORT:
		return edu_dma_ioctl_import(filp->private_data, uarg);
	default:
		return -ENOTTY;
	}
}

static int edu_dma_open(struct inode *inode, struct file *filp)
{
	struct edu_dma *edu = container_of(filp->private_data, struct edu_dma, misc);
	struct edu_dma_file *file = kzalloc(sizeof(*file), GFP_KERNEL);

	if (!file)
		return -ENOMEM;

	/* misc_deregister() waits for this, so the driver's reference is alive. */
	kref_get(&edu->ref);
	file->edu = edu;
	xa_init_flags(&file->mappings, XA_FLAGS_ALLOC1);

	filp->private_data = file;
	return nonseekable_open(inode, filp);
}

static int edu_dma_release(struct inode *inode, struct file *filp)
{
	struct edu_dma_file *file = filp->private_data;
	struct edu_dma *edu = file->edu;
	struct edu_dma_mapping *mapping;
	unsigned long handle;

	mutex_lock(&edu->lock);
	/* edu_dma_remove() unmapped them if the device is gone. */
	xa_for_each(&file->mappings, handle, mapping)
		if (edu->pdev)
			edu_dma_unmap(edu, mapping);
	mutex_unlock(&edu->lock);

	/* Nobody else knows the file any more. */
	xa_for_each(&file->mappings, handle, mapping)
		edu_dma_mapping_put(mapping);
	xa_destroy(&file->mappings);
	kfree(file);
	kref_put(&edu->ref, edu_dma_free);
	return 0;
}

static const struct file_operations edu_dma_fops = {
	.owner = THIS_MODULE,
	.open = edu_dma_open,
	.release = edu_dma_release,
	.unlocked_ioctl = edu_dma_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static int edu_dma_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	void __iomem *mmio;
	struct edu_dma *edu;
	int ret;

	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;

	mmio = pcim_iomap_region(pdev, 0, KBUILD_MODNAME);
	if (IS_ERR(mmio))
		return PTR_ERR(mmio);
	if ((readl(mmio + EDU_ID) & EDU_ID_MASK) != EDU_ID_VALUE)
		return -ENODEV;
	/* Left running when another driver gave up on it; see edu_dma_run(). */
	if (readl(mmio + EDU_DMA_CMD) & EDU_DMA_CMD_RUN)
		return -EBUSY;

	dma_set_max_seg_size(&pdev->dev, EDU_DMA_MAX_SEGMENT);
	/* The device counts in 64 bits; nothing is special about 4 GiB. */
	dma_set_seg_boundary(&pdev->dev, ULONG_MAX);
	pci_set_master(pdev);

	edu = edu_dma_alloc(pdev, mmio);
	if (!edu)
		return -ENOMEM;

	edu->id = ida_alloc(&edu_dma_ida, GFP_KERNEL);
	if (edu->id < 0) {
		ret = edu->id;
		goto err_put;
	}

	snprintf(edu->name, sizeof(edu->name), "edu_dma%d", edu->id);
	edu->misc.minor = MISC_DYNAMIC_MINOR;
	edu->misc.name = edu->name;
	edu->misc.fops = &edu_dma_fops;
	edu->misc.parent = &pdev->dev;
	edu->misc.mode = 0600;

	pci_set_drvdata(pdev, edu);
	ret = misc_register(&edu->misc);
	if (ret)
		goto err_ida;

	return 0;

err_ida:
	ida_free(&edu_dma_ida, edu->id);
err_put:
	kref_put(&edu->ref, edu_dma_free);
	return ret;
}

static void edu_dma_remove(struct pci_dev *pdev)
{
	struct edu_dma *edu = pci_get_drvdata(pdev);
	struct edu_dma_mapping *mapping, *next;

	/* From here on there are no new files, but maybe old ones. */
	misc_deregister(&edu->misc);
	ida_free(&edu_dma_ida, edu->id);

	mutex_lock(&edu->lock);
	/* Pinned memory stays so until the files are closed. */
	list_for_each_entry_safe(mapping, next, &edu->mappings, node)
		edu_dma_unmap(edu, mapping);
	edu->pdev = NULL;
	edu->mmio = NULL;
	mutex_unlock(&edu->lock);

	kref_put(&edu->ref, edu_dma_free);
}

static const struct pci_device_id edu_dma_ids[] = {
	{ PCI_DEVICE(EDU_VENDOR_ID, EDU_DEVICE_ID) },
	{ }
};
MODULE_DEVICE_TABLE(pci, edu_dma_ids);

static struct pci_driver edu_dma_driver = {
	.name = KBUILD_MODNAME,
	.id_table = edu_dma_ids,
	.probe = edu_dma_probe,
	.remove = edu_dma_remove,
};
module_pci_driver(edu_dma_driver);

MODULE_DESCRIPTION("DMA to user memory with QEMU's edu device, for selftests");
MODULE_LICENSE("GPL");
