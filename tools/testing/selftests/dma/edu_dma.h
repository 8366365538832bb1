/* SPDX-License-Identifier: GPL-2.0 */
/*
 * User interface of the edu_dma test module: map user memory, or memory of another
 * device, for DMA by QEMU's "edu" PCI device, and let the device read and write it.
 *
 * Every device is a /dev/edu_dmaN, in the order in which the devices are found.
 * This is an interface for tests, not for production, and it is not stable. Every
 * call may also fail with ENOMEM.
 *
 * The device has a property of its own, dma_mask, which it applies to addresses
 * without telling anyone; it is 28 bits unless QEMU is told otherwise. A mapping
 * with more &edu_dma_map.dma_bits than that makes the device access the wrong
 * memory. Create the device with "-device edu,dma_mask=0xffffffffffffffff", and
 * choose the mask of the driver for each mapping.
 */
#ifndef EDU_DMA_H
#define EDU_DMA_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* The longest mapping, in bytes. */
#define EDU_DMA_MAX_LENGTH	(64U << 20)

/*
 * The longest transfer, in bytes. Half of the device's buffer: QEMU up to and
 * including 7.2 takes a transfer that ends with the buffer for one that goes
 * beyond it, and kills the virtual machine.
 */
#define EDU_DMA_MAX_TRANSFER	2048U

/* Flags of struct edu_dma_map; none of them: pin and map with dma_map_sgtable(). */

/* Pin one page, or a part of one, and map it with dma_map_page_attrs(). */
#define EDU_DMA_MAP_PAGE	0x1U

/*
 * Mirror the address space with HMM: pin nothing, but look up and map a page when
 * the device gets to it, and unmap it when the process is about to lose it.
 */
#define EDU_DMA_MAP_MIRROR	0x2U

/* Flags of struct edu_dma_import. */

/* Have no callback to be told by when the memory is taken away. */
#define EDU_DMA_IMPORT_UNAWARE	0x1U

/* Directions of struct edu_dma_transfer. */
#define EDU_DMA_TO_DEVICE	0U	/* the device reads memory */
#define EDU_DMA_FROM_DEVICE	1U	/* the device writes memory */

/**
 * struct edu_dma_map - argument of %EDU_DMA_MAP: map user memory for the device
 * @addr: in: where the memory begins; needs no alignment, except for a mirror,
 *	which consists of whole pages
 * @length: in: its length in bytes, 1 to %EDU_DMA_MAX_LENGTH
 * @attrs: in: DMA_ATTR_* bits, handed to the DMA API as they are; 0 for a mirror,
 *	for which HMM chooses them
 * @dma_bits: in: the width of the device's DMA mask, 1 to 64; one device has one
 *	mask, so all mappings which exist at a time must have the same
 * @flags: in: %EDU_DMA_MAP_PAGE, %EDU_DMA_MAP_MIRROR or 0
 * @handle: out: names the mapping, within this open file; meaningless after an
 *	error
 * @pad: must be 0
 *
 * The mapping is bidirectional. It lives until %EDU_DMA_UNMAP, until the file is
 * closed, or until the device goes away. Mappings may overlap, but a kernel with
 * CONFIG_DMA_API_DEBUG reports it, unless @attrs say that they are meant to.
 *
 * Errors:
 *
 * - E2BIG: @length is above %EDU_DMA_MAX_LENGTH
 * - EBUSY: the device has mappings with another mask
 * - EINTR: killed while the device was busy
 * - EFAULT: there is no memory at the address, or it cannot be written; a mirror
 *   finds that out later, unless it is an address that no process can have
 * - EINVAL: no length, unknown flags or both, a @pad which is not 0, a @dma_bits out
 *   of range, addresses that wrap, with %EDU_DMA_MAP_PAGE more than one page, or with
 *   %EDU_DMA_MAP_MIRROR attributes or a part of a page
 * - EIO: dma_map_page_attrs() returned DMA_MAPPING_ERROR
 * - ENODEV: the device went away
 * - ENOTTY: a mirror, and the kernel has no HMM
 * - ENXIO: the machine cannot serve a device with such a mask
 *
 * and whatever dma_map_sgtable() or hmm_dma_map_alloc() returns. The latter tells
 * with EOPNOTSUPP if the memory of the machine is not coherent for the device.
 */
struct edu_dma_map {
	__u64 addr;
	__u64 length;
	__u64 attrs;
	__u32 dma_bits;
	__u32 flags;
	__u32 handle;
	__u32 pad;
};

/**
 * struct edu_dma_import - argument of %EDU_DMA_IMPORT: map a dma-buf for the device
 * @length: out: the length of the dma-buf in bytes
 * @fd: in: the dma-buf
 * @dma_bits: in: as in &struct edu_dma_map
 * @flags: in: %EDU_DMA_IMPORT_UNAWARE or 0
 * @handle: out: as in &struct edu_dma_map
 *
 * The dma-buf is mapped at once. Unless it is %EDU_DMA_IMPORT_UNAWARE the device
 * lets go of it when the exporter takes it back, after a transfer that is under way,
 * and tries to map it again for the next one.
 *
 * Errors are those of %EDU_DMA_MAP and
 *
 * - EBADF, EINVAL: @fd is no dma-buf
 * - ENOTTY: the kernel has nothing that maps device memory for a dma-buf
 *
 * and whatever the exporter returns.
 */
struct edu_dma_import {
	__u64 length;
	__s32 fd;
	__u32 dma_bits;
	__u32 flags;
	__u32 handle;
};

/**
 * struct edu_dma_transfer - argument of %EDU_DMA_TRANSFER: let the device read
 *	or write mapped memory
 * @handle: in: the mapping
 * @direction: in: %EDU_DMA_TO_DEVICE or %EDU_DMA_FROM_DEVICE
 * @offset: in: where to begin, in bytes from the beginning of the mapping
 * @length: in: the number of bytes, 1 to %EDU_DMA_MAX_TRANSFER
 * @pad: must be 0
 *
 * Both directions begin at the beginning of the device's buffer, so the device
 * writes what it read last. The call returns when the device is done, which takes
 * 0.1 s for every DMA segment that the transfer touches, and for every page of a
 * mirror. Between these, transfers of other threads may get their turn.
 *
 * Errors:
 *
 * - EFAULT: a mirror, and the process has no memory there, or none that the device
 *   may write
 * - EINTR: killed
 * - EINVAL: no length or too much of it, an unknown direction, a @pad which is
 *   not 0, or bytes outside the mapping
 * - EIO: an earlier transfer timed out, or a page of a mirror cannot be mapped
 * - ENODEV: the device went away
 * - ENOENT: there is no such mapping
 * - ETIMEDOUT: the device did not finish; it will not be used again
 *
 * and for a dma-buf what its exporter returns when it is mapped again.
 */
struct edu_dma_transfer {
	__u32 handle;
	__u32 direction;
	__u64 offset;
	__u32 length;
	__u32 pad;
};

/**
 * struct edu_dma_unmap - argument of %EDU_DMA_UNMAP: take a mapping down
 * @handle: in: the mapping
 * @pad: must be 0
 *
 * Errors:
 *
 * - EINTR: killed while the device was busy
 * - EINVAL: @pad is not 0
 * - ENODEV: the device went away, and the mapping with it
 * - ENOENT: there is no such mapping
 */
struct edu_dma_unmap {
	__u32 handle;
	__u32 pad;
};

#define EDU_DMA_MAP		_IOWR(0xED, 0, struct edu_dma_map)
#define EDU_DMA_TRANSFER	_IOW(0xED, 1, struct edu_dma_transfer)
#define EDU_DMA_UNMAP		_IOW(0xED, 2, struct edu_dma_unmap)
#define EDU_DMA_IMPORT		_IOWR(0xED, 3, struct edu_dma_import)

#endif /* EDU_DMA_H */
