/* SPDX-License-Identifier: GPL-2.0 */
/*
 * User interface of the bar_exporter test module: get the memory in a BAR of QEMU's
 * "ivshmem-plain" PCI device as a dma-buf, and take it back from everybody.
 *
 * Every device is a /dev/bar_exporterN, in the order in which the devices are found.
 * This is an interface for tests, not for production, and it is not stable.
 */
#ifndef BAR_EXPORTER_H
#define BAR_EXPORTER_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * struct bar_exporter_export - argument of %BAR_EXPORTER_EXPORT
 * @offset: in: where to begin, in bytes from the beginning of BAR 2; whole pages
 * @length: in: the length in bytes; whole pages
 * @fd: out: the dma-buf
 * @pad: must be 0
 *
 * Errors:
 *
 * - EINTR: killed while another call was under way
 * - EINVAL: no length, bytes outside the BAR, parts of pages, or a @pad which is not 0
 * - ENODEV: the device went away
 */
struct bar_exporter_export {
	__u64 offset;
	__u64 length;
	__s32 fd;
	__u32 pad;
};

#define BAR_EXPORTER_EXPORT	_IOWR(0xBA, 0, struct bar_exporter_export)

/*
 * Revoke all dma-bufs of the device. When the call returns no other device has access
 * to the memory, and none can get it but through a dma-buf that is exported later.
 *
 * Errors:
 *
 * - EINTR: killed while another call was under way
 * - ENODEV: the device went away, which took the memory back
 */
#define BAR_EXPORTER_REVOKE	_IO(0xBA, 1)

#endif /* BAR_EXPORTER_H */
