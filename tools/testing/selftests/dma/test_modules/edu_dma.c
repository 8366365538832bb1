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
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/xarray.h>

#include "../edu_dma.h"

#define EDU_VENDOR_ID		0x1234
#define EDU_DEVICE_ID		0x11e8

/*
 * The registers of the DMA engine take a 64-bit value in one access only: a write
 * to an upper half is ignored. Hence writeq() without a fallback.
 */
#define EDU_ID			0x00
#define EDU_ID_MASK		0xff
#define EDU_ID_VALUE		0xed
#define EDU_DMA_SRC		0x80
#define EDU_DMA_DST		0x88
#define EDU_DMA_COUNT		0x90
#define EDU_DMA_CMD		0x98
#define EDU_DMA_CMD_RUN		BIT_ULL(0)
#define EDU_DMA_CMD_TO_RAM	BIT_ULL(1)

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
 * struct edu_dma - one device
 * @ref: held by the driver, and by every open file
 * @misc: /dev/edu_dmaN
 * @name: "edu_dmaN"
 * @id: N
 * @lock: protects what follows. A transfer holds it to the end, so there is one
 *	at a time, and no mapping goes away under it.
 * @pdev: the PCI device; NULL once the driver has let go of it
 * @mmio: its registers; valid as long as @pdev is
 * @mappings: all mappings of all files
 * @dma_bits: the width of the DMA mask; 0 before the first mapping
 * @stuck: a transfer timed out
 */
struct edu_dma {
	struct kref ref;
	struct miscdevice misc;
	char name[24];
	int id;

	struct mutex lock;	/* protects what follows */
	struct pci_dev *pdev;
	void __iomem *mmio;
	struct list_head mappings;
	u32 dma_bits;
	bool stuck;
};

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
 * struct edu_dma_mapping - user memory that the device may access
 * @node: in &edu_dma.mappings
 * @pages: the pinned pages
 * @nr_pages: their number
 * @offset: where the memory begins in the first page
 * @length: its length in bytes
 * @attrs: what it was mapped with, for unmapping it
 * @single: it is part of one page and has @dma_addr; otherwise it has @sgt
 * @dma_addr: the DMA address
 * @sgt: the list of segments
 */
struct edu_dma_mapping {
	struct list_head node;
	struct page **pages;
	unsigned long nr_pages;
	unsigned int offset;
	size_t length;
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

static int edu_dma_pin(struct edu_dma_mapping *mapping, unsigned long addr)
{
	unsigned long pinned = 0;
	int ret;

	mapping->nr_pages = PFN_UP(mapping->offset + mapping->length);
	mapping->pages = kvmalloc_array(mapping->nr_pages, sizeof(*mapping->pages),
					GFP_KERNEL);
	if (!mapping->pages)
		return -ENOMEM;

	/* A short count says that the next page fails, but not why. Ask again. */
	while (pinned < mapping->nr_pages) {
		ret = pin_user_pages_fast((addr & PAGE_MASK) + pinned * PAGE_SIZE,
					  mapping->nr_pages - pinned,
					  FOLL_WRITE | FOLL_LONGTERM,
					  mapping->pages + pinned);
		if (ret < 0)
			goto err_unpin;
		pinned += ret;
	}

	return 0;

err_unpin:
	unpin_user_pages(mapping->pages, pinned);
	kvfree(mapping->pages);
	return ret;
}

/*
 * Pin the memory and make its list. This may fault pages in, and so wait for user
 * space: not for callers with the device's lock.
 */
static struct edu_dma_mapping *
edu_dma_mapping_create(const struct edu_dma_map *arg)
{
	struct edu_dma_mapping *mapping = kzalloc(sizeof(*mapping), GFP_KERNEL);
	int ret;

	if (!mapping)
		return ERR_PTR(-ENOMEM);

	mapping->offset = offset_in_page(arg->addr);
	mapping->length = arg->length;
	mapping->attrs = arg->attrs;
	mapping->single = arg->flags & EDU_DMA_MAP_PAGE;

	ret = edu_dma_pin(mapping, arg->addr);
	if (ret)
		goto err_free;

	if (mapping->single)
		return mapping;

	ret = sg_alloc_table_from_pages_segment(&mapping->sgt, mapping->pages,
						mapping->nr_pages,
						mapping->offset, mapping->length,
						EDU_DMA_MAX_SEGMENT, GFP_KERNEL);
	if (ret)
		goto err_unpin;

	return mapping;

err_unpin:
	unpin_user_pages(mapping->pages, mapping->nr_pages);
	kvfree(mapping->pages);
err_free:
	kfree(mapping);
	return ERR_PTR(ret);
}

static void edu_dma_mapping_destroy(struct edu_dma_mapping *mapping)
{
	if (!mapping->single)
		sg_free_table(&mapping->sgt);
	/* The device may have written to any of them. */
	unpin_user_pages_dirty_lock(mapping->pages, mapping->nr_pages, true);
	kvfree(mapping->pages);
	kfree(mapping);
}

static int edu_dma_map(struct edu_dma *edu, struct edu_dma_mapping *mapping,
		       u32 dma_bits)
{
	struct device *dev;
	int ret;

	lockdep_assert_held(&edu->lock);

	if (!edu->pdev)
		return -ENODEV;
	dev = &edu->pdev->dev;

	if (edu->dma_bits != dma_bits) {
		if (!list_empty(&edu->mappings))
			return -EBUSY;
		/* Not the errno of the call: -EIO is what a refused page gets. */
		if (dma_set_mask(dev, DMA_BIT_MASK(dma_bits)))
			return -ENXIO;
		edu->dma_bits = dma_bits;
	}

	if (mapping->single) {
		mapping->dma_addr = dma_map_page_attrs(dev, mapping->pages[0],
						       mapping->offset,
						       mapping->length,
						       DMA_BIDIRECTIONAL,
						       mapping->attrs);
		if (dma_mapping_error(dev, mapping->dma_addr))
			return -EIO;
	} else {
		ret = dma_map_sgtable(dev, &mapping->sgt, DMA_BIDIRECTIONAL,
				      mapping->attrs);
		if (ret)
			return ret;
	}

	list_add(&mapping->node, &edu->mappings);
	return 0;
}

static void edu_dma_unmap(struct edu_dma *edu, struct edu_dma_mapping *mapping)
{
	struct device *dev = &edu->pdev->dev;

	lockdep_assert_held(&edu->lock);

	list_del(&mapping->node);
	if (mapping->single)
		dma_unmap_page_attrs(dev, mapping->dma_addr, mapping->length,
				     DMA_BIDIRECTIONAL, mapping->attrs);
	else
		dma_unmap_sgtable(dev, &mapping->sgt, DMA_BIDIRECTIONAL,
				  mapping->attrs);
}

/*
 * Where the device finds the byte at @offset of the mapping. Reduces @length to
 * what it can reach from there in one transfer.
 */
static dma_addr_t edu_dma_addr(struct edu_dma_mapping *mapping, u64 offset,
			       u32 *length)
{
	struct scatterlist *sg;
	int i;

	if (mapping->single)
		return mapping->dma_addr + offset;

	for_each_sgtable_dma_sg(&mapping->sgt, sg, i) {
		if (offset < sg_dma_len(sg)) {
			*length = min_t(u64, *length, sg_dma_len(sg) - offset);
			return sg_dma_address(sg) + offset;
		}
		offset -= sg_dma_len(sg);
	}

	return DMA_MAPPING_ERROR;
}

static int edu_dma_run(struct edu_dma *edu, dma_addr_t addr, u64 buffer,
		       u32 length, u32 direction)
{
	u64 cmd;
	int ret;

	if (direction == EDU_DMA_TO_DEVICE) {
		writeq(addr, edu->mmio + EDU_DMA_SRC);
		writeq(buffer, edu->mmio + EDU_DMA_DST);
		cmd = EDU_DMA_CMD_RUN;
	} else {
		writeq(buffer, edu->mmio + EDU_DMA_SRC);
		writeq(addr, edu->mmio + EDU_DMA_DST);
		cmd = EDU_DMA_CMD_RUN | EDU_DMA_CMD_TO_RAM;
	}
	writeq(length, edu->mmio + EDU_DMA_COUNT);
	writeq(cmd, edu->mmio + EDU_DMA_CMD);

	ret = readq_poll_timeout(edu->mmio + EDU_DMA_CMD, cmd,
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

static int edu_dma_transfer(struct edu_dma_file *file,
			    const struct edu_dma_transfer *arg)
{
	struct edu_dma *edu = file->edu;
	struct edu_dma_mapping *mapping;
	dma_addr_t addr;
	u32 done, len;
	int ret;

	lockdep_assert_held(&edu->lock);

	if (!edu->pdev)
		return -ENODEV;
	if (edu->stuck)
		return -EIO;

	mapping = xa_load(&file->mappings, arg->handle);
	if (!mapping)
		return -ENOENT;
	if (arg->offset > mapping->length ||
	    arg->length > mapping->length - arg->offset)
		return -EINVAL;

	for (done = 0; done < arg->length; done += len) {
		len = arg->length - done;
		addr = edu_dma_addr(mapping, arg->offset + done, &len);
		if (WARN_ON_ONCE(addr == DMA_MAPPING_ERROR))
			return -EIO;
		ret = edu_dma_run(edu, addr, EDU_DMA_BUFFER + done, len,
				  arg->direction);
		if (ret)
			return ret;
	}

	return 0;
}

static int edu_dma_ioctl_map(struct edu_dma_file *file,
			     struct edu_dma_map __user *uarg)
{
	struct edu_dma *edu = file->edu;
	struct edu_dma_mapping *mapping;
	struct edu_dma_map arg;
	u64 last;
	int ret;

	if (copy_from_user(&arg, uarg, sizeof(arg)))
		return -EFAULT;
	if (arg.flags & ~EDU_DMA_MAP_PAGE || arg.pad)
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

	mapping = edu_dma_mapping_create(&arg);
	if (IS_ERR(mapping))
		return PTR_ERR(mapping);

	/*
	 * Hand the handle out before there is anything behind it. What can fail
	 * here then fails before the memory is mapped, and nobody else can guess
	 * a handle and unmap what this call is about to return.
	 */
	ret = xa_alloc(&file->mappings, &arg.handle, NULL, xa_limit_32b,
		       GFP_KERNEL);
	if (ret)
		goto err_destroy;
	if (put_user(arg.handle, &uarg->handle)) {
		ret = -EFAULT;
		goto err_release;
	}

	ret = mutex_lock_interruptible(&edu->lock);
	if (ret)
		goto err_release;
	ret = edu_dma_map(edu, mapping, arg.dma_bits);
	if (!ret)
		/* The entry is reserved, so this needs no memory. */
		xa_store(&file->mappings, arg.handle, mapping, GFP_KERNEL);
	mutex_unlock(&edu->lock);
	if (ret)
		goto err_release;

	return 0;

err_release:
	xa_release(&file->mappings, arg.handle);
err_destroy:
	edu_dma_mapping_destroy(mapping);
	return ret;
}

static int edu_dma_ioctl_transfer(struct edu_dma_file *file,
				  struct edu_dma_transfer __user *uarg)
{
	struct edu_dma_transfer arg;
	int ret;

	if (copy_from_user(&arg, uarg, sizeof(arg)))
		return -EFAULT;
	if (arg.direction != EDU_DMA_TO_DEVICE &&
	    arg.direction != EDU_DMA_FROM_DEVICE)
		return -EINVAL;
	if (!arg.length || arg.length > EDU_DMA_MAX_TRANSFER || arg.pad)
		return -EINVAL;

	ret = mutex_lock_interruptible(&file->edu->lock);
	if (ret)
		return ret;
	ret = edu_dma_transfer(file, &arg);
	mutex_unlock(&file->edu->lock);
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

	ret = mutex_lock_interruptible(&edu->lock);
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
	edu_dma_mapping_destroy(mapping);
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
	xa_for_each(&file->mappings, handle, mapping) {
		/* edu_dma_remove() unmapped them if the device is gone. */
		if (edu->pdev)
			edu_dma_unmap(edu, mapping);
		edu_dma_mapping_destroy(mapping);
	}
	mutex_unlock(&edu->lock);

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
	if (readq(mmio + EDU_DMA_CMD) & EDU_DMA_CMD_RUN)
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
	/* The memory stays pinned until the files are closed. */
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
