// SPDX-License-Identifier: GPL-2.0
/*
 * Give user space what the example of an exporter of device memory exports, for the
 * selftests of the DMA API. See ../bar_exporter.h for the interface.
 */
#include <linux/dma-buf.h>
#include <linux/fs.h>
#include <linux/idr.h>
#include <linux/kref.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "../bar_exporter.h"
#include "example_exporter.h"

/**
 * struct bar_exporter - one device
 * @ref: held by the driver, and by every open file
 * @misc: /dev/bar_exporterN
 * @name: "bar_exporterN"
 * @id: N
 * @lock: protects @pdev, and keeps exports and revocations apart
 * @pdev: the PCI device; NULL once the driver has let go of it
 */
struct bar_exporter {
	struct kref ref;
	struct miscdevice misc;
	char name[24];
	int id;
	struct mutex lock;	/* protects @pdev */
	struct pci_dev *pdev;
};

static DEFINE_IDA(bar_exporter_ida);

static void bar_exporter_free(struct kref *ref)
{
	struct bar_exporter *exporter = container_of(ref, struct bar_exporter, ref);

	mutex_destroy(&exporter->lock);
	kfree(exporter);
}

static int bar_exporter_ioctl_export(struct bar_exporter *exporter,
				     struct bar_exporter_export __user *uarg)
{
	struct bar_exporter_export arg;
	struct dma_buf *dmabuf;
	int fd, ret;

	if (copy_from_user(&arg, uarg, sizeof(arg)))
		return -EFAULT;
	if (arg.pad)
		return -EINVAL;

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	if (put_user(fd, &uarg->fd)) {
		ret = -EFAULT;
		goto err_fd;
	}

	ret = mutex_lock_killable(&exporter->lock);
	if (ret)
		goto err_fd;
	if (exporter->pdev)
		dmabuf = bar_export(pci_get_drvdata(exporter->pdev), arg.offset,
				    arg.length);
	else
		dmabuf = ERR_PTR(-ENODEV);
	mutex_unlock(&exporter->lock);
	if (IS_ERR(dmabuf)) {
		ret = PTR_ERR(dmabuf);
		goto err_fd;
	}

	fd_install(fd, dmabuf->file);
	return 0;

err_fd:
	put_unused_fd(fd);
	return ret;
}

static int bar_exporter_ioctl_revoke(struct bar_exporter *exporter)
{
	int ret = 0;

	if (mutex_lock_killable(&exporter->lock))
		return -EINTR;
	if (exporter->pdev)
		bar_revoke(pci_get_drvdata(exporter->pdev));
	else
		ret = -ENODEV;
	mutex_unlock(&exporter->lock);
	return ret;
}

static long bar_exporter_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	switch (cmd) {
	case BAR_EXPORTER_EXPORT:
		return bar_exporter_ioctl_export(filp->private_data,
						 (void __user *)arg);
	case BAR_EXPORTER_REVOKE:
		return bar_exporter_ioctl_revoke(filp->private_data);
	default:
		return -ENOTTY;
	}
}

static int bar_exporter_open(struct inode *inode, struct file *filp)
{
	struct bar_exporter *exporter =
		container_of(filp->private_data, struct bar_exporter, misc);

	/* misc_deregister() waits for this, so the driver's reference is alive. */
	kref_get(&exporter->ref);
	filp->private_data = exporter;
	return nonseekable_open(inode, filp);
}

static int bar_exporter_release(struct inode *inode, struct file *filp)
{
	struct bar_exporter *exporter = filp->private_data;

	kref_put(&exporter->ref, bar_exporter_free);
	return 0;
}

static const struct file_operations bar_exporter_fops = {
	.owner = THIS_MODULE,
	.open = bar_exporter_open,
	.release = bar_exporter_release,
	.unlocked_ioctl = bar_exporter_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

/*
 * The example has the driver data, so what is here goes to a resource of the device,
 * for bar_exporter_remove() to find.
 */
static void bar_exporter_put(struct device *dev, void *res)
{
	struct bar_exporter **exporter = res;

	kref_put(&(*exporter)->ref, bar_exporter_free);
}

static int bar_exporter_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct bar_exporter **res, *exporter;
	int ret;

	ret = bar_probe(pdev, id);
	if (ret)
		return ret;

	res = devres_alloc(bar_exporter_put, sizeof(*res), GFP_KERNEL);
	if (!res)
		return -ENOMEM;
	exporter = kzalloc(sizeof(*exporter), GFP_KERNEL);
	if (!exporter) {
		devres_free(res);
		return -ENOMEM;
	}
	kref_init(&exporter->ref);
	mutex_init(&exporter->lock);
	exporter->pdev = pdev;
	*res = exporter;
	devres_add(&pdev->dev, res);

	exporter->id = ida_alloc(&bar_exporter_ida, GFP_KERNEL);
	if (exporter->id < 0)
		return exporter->id;
	snprintf(exporter->name, sizeof(exporter->name), "bar_exporter%d",
		 exporter->id);
	exporter->misc.minor = MISC_DYNAMIC_MINOR;
	exporter->misc.name = exporter->name;
	exporter->misc.fops = &bar_exporter_fops;
	exporter->misc.parent = &pdev->dev;
	exporter->misc.mode = 0600;

	ret = misc_register(&exporter->misc);
	if (ret)
		ida_free(&bar_exporter_ida, exporter->id);
	return ret;
}

static void bar_exporter_remove(struct pci_dev *pdev)
{
	struct bar_exporter **res, *exporter;

	res = devres_find(&pdev->dev, bar_exporter_put, NULL, NULL);
	exporter = *res;

	/* From here on there are no new files, but maybe old ones. */
	misc_deregister(&exporter->misc);
	ida_free(&bar_exporter_ida, exporter->id);

	/* Who is told that the device is gone may count on the memory being back. */
	mutex_lock(&exporter->lock);
	bar_remove(pdev);
	exporter->pdev = NULL;
	mutex_unlock(&exporter->lock);
}

static struct pci_driver bar_exporter_driver = {
	.name = KBUILD_MODNAME,
	.id_table = bar_ids,
	.probe = bar_exporter_probe,
	.remove = bar_exporter_remove,
};
module_pci_driver(bar_exporter_driver);

MODULE_DEVICE_TABLE(pci, bar_ids);
MODULE_IMPORT_NS("DMA_BUF");
MODULE_DESCRIPTION("Device memory as dma-bufs that can be revoked, for selftests");
MODULE_LICENSE("GPL");
