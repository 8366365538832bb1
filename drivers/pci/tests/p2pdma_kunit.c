// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests for the providers of peer-to-peer memory.
 *
 * A real PCI device provides the memory, QEMU's ivshmem-plain:
 *
 *	BAR 0	registers
 *	BAR 2	memory, 64 bits
 *	others	not there
 *
 * It has no driver; whatever is managed for it is in a group that is released
 * after each case, as it would be when a driver is unbound.
 */

#include <kunit/override.h>
#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/kernfs.h>
#include <linux/kstrtox.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/pci-p2pdma.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#include <linux/sizes.h>
#include <linux/sysfs.h>

#define MEMORY_BAR	2

/*
 * A kernel may take a provider that is asked for too early for a bug of the
 * driver, and warn. One that does can also be told not to.
 */
#ifndef kunit_warning_suppress
#define kunit_warning_suppress(test)
#endif

struct p2pdma_ctx {
	struct pci_dev *pdev;
	struct pci_dev *peer;
	void *group;
	bool non_mappable_bars;
	struct kunit_calls calls;	/* counted, and one may fail */
};

static bool shown_in_sysfs(struct pci_dev *pdev)
{
	struct kernfs_node *node = sysfs_get_dirent(pdev->dev.kobj.sd, "p2pmem");

	sysfs_put(node);
	return node;
}

/* As when the driver is bound. */
static void open_managed(struct kunit *test)
{
	struct p2pdma_ctx *ctx = test->priv;

	ctx->group = devres_open_group(&ctx->pdev->dev, NULL, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ctx->group);
}

/* As when the driver is unbound. Returns how much there was to release. */
static int release_managed(struct p2pdma_ctx *ctx)
{
	void *group = ctx->group;

	if (!group)
		return 0;

	ctx->group = NULL;
	return devres_release_group(&ctx->pdev->dev, group);
}

static void add_bar_memory(struct kunit *test)
{
	struct p2pdma_ctx *ctx = test->priv;

	KUNIT_ASSERT_EQ(test, 0, pci_p2pdma_add_resource(ctx->pdev, MEMORY_BAR,
							 SZ_2M, 0));
}

static const struct bar_param {
	const char *desc;
	int bar;
} memory_bar_params[] = {
	{ "registers", 0 },
	{ "memory", MEMORY_BAR },
};

KUNIT_ARRAY_PARAM_DESC(memory_bar, memory_bar_params, desc);

static void provider_says_where_memory_is_on_the_bus(struct kunit *test)
{
	const struct bar_param *param = test->param_value;
	struct p2pdma_ctx *ctx = test->priv;
	struct p2pdma_provider *provider;

	KUNIT_ASSERT_EQ(test, 0, pcim_p2pdma_init(ctx->pdev));
	provider = pcim_p2pdma_provider(ctx->pdev, param->bar);
	KUNIT_ASSERT_NOT_NULL(test, provider);

	KUNIT_EXPECT_PTR_EQ(test, provider->owner, &ctx->pdev->dev);
	KUNIT_EXPECT_EQ(test, pci_bus_address(ctx->pdev, param->bar),
			pci_p2pdma_bus_addr_map(provider,
						pci_resource_start(ctx->pdev,
								   param->bar)));
}

static void every_bar_has_one_provider(struct kunit *test)
{
	struct p2pdma_ctx *ctx = test->priv;
	struct p2pdma_provider *provider;

	KUNIT_ASSERT_EQ(test, 0, pcim_p2pdma_init(ctx->pdev));
	provider = pcim_p2pdma_provider(ctx->pdev, MEMORY_BAR);
	KUNIT_EXPECT_PTR_NE(test, provider, pcim_p2pdma_provider(ctx->pdev, 0));

	KUNIT_EXPECT_EQ(test, 0, pcim_p2pdma_init(ctx->pdev));
	KUNIT_EXPECT_PTR_EQ(test, provider,
			    pcim_p2pdma_provider(ctx->pdev, MEMORY_BAR));

	/* Pages or not, it is the same memory. */
	add_bar_memory(test);
	KUNIT_EXPECT_PTR_EQ(test, provider,
			    pcim_p2pdma_provider(ctx->pdev, MEMORY_BAR));
}

static struct resource_entry *window_of(struct pci_dev *pdev, int bar)
{
	struct pci_host_bridge *bridge = pci_find_host_bridge(pdev->bus);
	struct resource_entry *window;

	resource_list_for_each_entry(window, &bridge->windows)
		if (resource_contains(window->res, &pdev->resource[bar]))
			return window;

	return NULL;
}

/* Some host bridges have other addresses on their bus than the CPU has. */
static void provider_knows_the_offset_of_the_bus(struct kunit *test)
{
	struct p2pdma_ctx *ctx = test->priv;
	struct resource_entry *window = window_of(ctx->pdev, MEMORY_BAR);
	phys_addr_t start = pci_resource_start(ctx->pdev, MEMORY_BAR);
	struct p2pdma_provider *provider;
	resource_size_t saved;

	KUNIT_ASSERT_NOT_NULL(test, window);
	saved = window->offset;
	window->offset += SZ_1M;

	KUNIT_EXPECT_EQ(test, 0, pcim_p2pdma_init(ctx->pdev));
	provider = pcim_p2pdma_provider(ctx->pdev, MEMORY_BAR);
	KUNIT_EXPECT_NOT_NULL(test, provider);
	if (provider)
		KUNIT_EXPECT_EQ(test, start - saved - SZ_1M,
				pci_p2pdma_bus_addr_map(provider, start));

	window->offset = saved;
}

static const struct bar_param no_memory_params[] = {
	{ "-1", -1 },
	{ "INT_MIN", INT_MIN },
	{ "upper half of a 64-bit BAR", MEMORY_BAR + 1 },
	{ "not implemented", 5 },
	{ "behind the last", PCI_NUM_RESOURCES },
	{ "INT_MAX", INT_MAX },
};

KUNIT_ARRAY_PARAM_DESC(no_memory, no_memory_params, desc);

static void no_provider_for_what_is_no_memory_bar(struct kunit *test)
{
	const struct bar_param *param = test->param_value;
	struct p2pdma_ctx *ctx = test->priv;

	KUNIT_ASSERT_EQ(test, 0, pcim_p2pdma_init(ctx->pdev));
	KUNIT_EXPECT_NULL(test, pcim_p2pdma_provider(ctx->pdev, param->bar));
	KUNIT_EXPECT_EQ(test, -EINVAL,
			pci_p2pdma_add_resource(ctx->pdev, param->bar, 0, 0));
	KUNIT_EXPECT_FALSE(test, shown_in_sysfs(ctx->pdev));
}

static void no_provider_for_expansion_rom(struct kunit *test)
{
	struct p2pdma_ctx *ctx = test->priv;
	struct resource *rom = &ctx->pdev->resource[PCI_ROM_RESOURCE];
	struct resource saved = *rom;

	/* As if the device had one. */
	rom->start = SZ_4G;
	rom->end = SZ_4G + SZ_1M - 1;
	rom->flags = IORESOURCE_MEM;

	KUNIT_EXPECT_EQ(test, 0, pcim_p2pdma_init(ctx->pdev));
	KUNIT_EXPECT_NULL(test, pcim_p2pdma_provider(ctx->pdev, PCI_ROM_RESOURCE));
	KUNIT_EXPECT_EQ(test, -EINVAL,
			pci_p2pdma_add_resource(ctx->pdev, PCI_ROM_RESOURCE, 0, 0));

	*rom = saved;
}

static const struct unusable_param {
	const char *desc;
	resource_size_t start;
	resource_size_t end;
	unsigned long flags;
} unusable_params[] = {
	{ "no address and no size", 0, 0, IORESOURCE_MEM },
	{ "no size", SZ_4G, SZ_4G - 1, IORESOURCE_MEM },
	{ "I/O ports", SZ_4G, SZ_4G + SZ_2M - 1, IORESOURCE_IO },
};

KUNIT_ARRAY_PARAM_DESC(unusable, unusable_params, desc);

static void no_pages_for_bar_without_memory(struct kunit *test)
{
	const struct unusable_param *param = test->param_value;
	struct p2pdma_ctx *ctx = test->priv;
	struct resource *bar = &ctx->pdev->resource[PCI_STD_NUM_BARS - 1];
	struct resource saved = *bar;

	bar->start = param->start;
	bar->end = param->end;
	bar->flags = param->flags;

	KUNIT_EXPECT_EQ(test, 0, pcim_p2pdma_init(ctx->pdev));
	KUNIT_EXPECT_EQ(test, -EINVAL,
			pci_p2pdma_add_resource(ctx->pdev, PCI_STD_NUM_BARS - 1,
						0, 0));

	*bar = saved;
}

static void no_provider_before_init(struct kunit *test)
{
	struct p2pdma_ctx *ctx = test->priv;

	kunit_warning_suppress(test) {
		KUNIT_EXPECT_NULL(test,
				  pcim_p2pdma_provider(ctx->pdev, MEMORY_BAR));
	}
}

static void no_provider_after_unbind(struct kunit *test)
{
	struct p2pdma_ctx *ctx = test->priv;

	KUNIT_ASSERT_EQ(test, 0, pcim_p2pdma_init(ctx->pdev));
	add_bar_memory(test);
	KUNIT_EXPECT_TRUE(test, shown_in_sysfs(ctx->pdev));

	release_managed(ctx);
	kunit_warning_suppress(test) {
		KUNIT_EXPECT_NULL(test,
				  pcim_p2pdma_provider(ctx->pdev, MEMORY_BAR));
	}
	KUNIT_EXPECT_FALSE(test, shown_in_sysfs(ctx->pdev));
}

static void no_provider_for_bars_unlike_memory(struct kunit *test)
{
	struct p2pdma_ctx *ctx = test->priv;

	ctx->pdev->non_mappable_bars = true;
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, pcim_p2pdma_init(ctx->pdev));
	KUNIT_EXPECT_NULL(test, pcim_p2pdma_provider(ctx->pdev, MEMORY_BAR));
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP,
			pci_p2pdma_add_resource(ctx->pdev, MEMORY_BAR, 0, 0));
	KUNIT_EXPECT_FALSE(test, shown_in_sysfs(ctx->pdev));
}

static void no_memory_to_give_away_before_init(struct kunit *test)
{
	struct p2pdma_ctx *ctx = test->priv;

	KUNIT_EXPECT_NULL(test, pci_alloc_p2pmem(ctx->pdev, PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, 0, pci_p2pmem_virt_to_bus(ctx->pdev, ctx));

	pci_p2pmem_publish(ctx->pdev, true);
	KUNIT_EXPECT_NULL(test, pci_p2pmem_find(&ctx->pdev->dev));
}

static void init_gives_away_no_memory(struct kunit *test)
{
	struct p2pdma_ctx *ctx = test->priv;

	KUNIT_ASSERT_EQ(test, 0, pcim_p2pdma_init(ctx->pdev));
	KUNIT_EXPECT_FALSE(test, shown_in_sysfs(ctx->pdev));
	KUNIT_EXPECT_NULL(test, pci_alloc_p2pmem(ctx->pdev, PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, 0, pci_p2pmem_virt_to_bus(ctx->pdev, ctx));

	pci_p2pmem_publish(ctx->pdev, true);
	KUNIT_EXPECT_NULL(test, pci_p2pmem_find(&ctx->pdev->dev));
}

static const struct order_param {
	const char *desc;
	bool init_before;
	bool init_after;
} order_params[] = {
	{ "without pcim_p2pdma_init()" },
	{ "after pcim_p2pdma_init()", .init_before = true },
	{ "before pcim_p2pdma_init()", .init_after = true },
	{ "between two", .init_before = true, .init_after = true },
};

KUNIT_ARRAY_PARAM_DESC(order, order_params, desc);

static void added_memory_can_be_allocated(struct kunit *test)
{
	const struct order_param *param = test->param_value;
	struct p2pdma_ctx *ctx = test->priv;
	struct pci_dev *found;
	void *memory;

	if (param->init_before)
		KUNIT_ASSERT_EQ(test, 0, pcim_p2pdma_init(ctx->pdev));
	add_bar_memory(test);
	if (param->init_after)
		KUNIT_ASSERT_EQ(test, 0, pcim_p2pdma_init(ctx->pdev));

	KUNIT_EXPECT_TRUE(test, shown_in_sysfs(ctx->pdev));
	KUNIT_EXPECT_NOT_NULL(test, pcim_p2pdma_provider(ctx->pdev, MEMORY_BAR));

	memory = pci_alloc_p2pmem(ctx->pdev, PAGE_SIZE);
	KUNIT_ASSERT_NOT_NULL(test, memory);
	KUNIT_EXPECT_TRUE(test, is_pci_p2pdma_page(virt_to_page(memory)));
	KUNIT_EXPECT_EQ(test, pci_p2pmem_virt_to_bus(ctx->pdev, memory) & PAGE_MASK,
			pci_p2pmem_virt_to_bus(ctx->pdev, memory));
	KUNIT_EXPECT_GE(test, pci_p2pmem_virt_to_bus(ctx->pdev, memory),
			pci_bus_address(ctx->pdev, MEMORY_BAR));
	KUNIT_EXPECT_LT(test, pci_p2pmem_virt_to_bus(ctx->pdev, memory),
			pci_bus_address(ctx->pdev, MEMORY_BAR) + SZ_2M);
	pci_free_p2pmem(ctx->pdev, memory, PAGE_SIZE);

	KUNIT_EXPECT_NULL(test, pci_p2pmem_find(&ctx->pdev->dev));
	pci_p2pmem_publish(ctx->pdev, true);
	found = pci_p2pmem_find(&ctx->pdev->dev);
	KUNIT_EXPECT_PTR_EQ(test, found, ctx->pdev);
	pci_dev_put(found);
}

static void memory_is_given_out_in_pages(struct kunit *test)
{
	struct p2pdma_ctx *ctx = test->priv;
	void *first, *second;

	add_bar_memory(test);
	first = pci_alloc_p2pmem(ctx->pdev, 1);
	second = pci_alloc_p2pmem(ctx->pdev, 1);
	KUNIT_EXPECT_NOT_NULL(test, first);
	KUNIT_EXPECT_NOT_NULL(test, second);
	KUNIT_EXPECT_TRUE(test, PAGE_ALIGNED(first));
	KUNIT_EXPECT_TRUE(test, PAGE_ALIGNED(second));

	if (second)
		pci_free_p2pmem(ctx->pdev, second, 1);
	if (first)
		pci_free_p2pmem(ctx->pdev, first, 1);
}

static void second_resource_adds_to_the_pool(struct kunit *test)
{
	struct p2pdma_ctx *ctx = test->priv;
	void *first, *second;

	/* Their struct pages are in one huge page, which goes with the second. */
	if (IS_ENABLED(CONFIG_RISCV))
		kunit_skip(test, "RISC-V unmaps struct pages that are in use");

	add_bar_memory(test);
	first = pci_alloc_p2pmem(ctx->pdev, SZ_2M);
	KUNIT_ASSERT_NOT_NULL(test, first);
	KUNIT_EXPECT_NULL(test, pci_alloc_p2pmem(ctx->pdev, SZ_2M));

	KUNIT_EXPECT_EQ(test, 0, pci_p2pdma_add_resource(ctx->pdev, MEMORY_BAR,
							 SZ_2M, SZ_2M));
	second = pci_alloc_p2pmem(ctx->pdev, SZ_2M);
	KUNIT_EXPECT_NOT_NULL(test, second);
	KUNIT_EXPECT_EQ(test, pci_bus_address(ctx->pdev, MEMORY_BAR),
			pci_p2pmem_virt_to_bus(ctx->pdev, first));
	if (second) {
		KUNIT_EXPECT_EQ(test,
				pci_bus_address(ctx->pdev, MEMORY_BAR) + SZ_2M,
				pci_p2pmem_virt_to_bus(ctx->pdev, second));
		pci_free_p2pmem(ctx->pdev, second, SZ_2M);
	}
	pci_free_p2pmem(ctx->pdev, first, SZ_2M);
}

/* What a file in sysfs is made of, which nobody has to mount to use it like this. */
static void *pool_attribute(struct pci_dev *pdev, const char *name)
{
	struct kernfs_node *dir = sysfs_get_dirent(pdev->dev.kobj.sd, "p2pmem");
	struct kernfs_node *file = dir ? sysfs_get_dirent(dir, name) : NULL;
	void *attr = file ? file->priv : NULL;

	sysfs_put(file);
	sysfs_put(dir);

	return attr;
}

static long shown_number(struct kunit *test, struct device_attribute *attr)
{
	struct p2pdma_ctx *ctx = test->priv;
	char *page = (char *)get_zeroed_page(GFP_KERNEL);
	long number = -1;

	KUNIT_ASSERT_NOT_NULL(test, page);
	attr->show(&ctx->pdev->dev, attr, page);
	KUNIT_EXPECT_EQ(test, 0, kstrtol(page, 0, &number));
	free_page((unsigned long)page);
	return number;
}

static void sysfs_tells_how_much_of_the_pool_is_left(struct kunit *test)
{
	struct p2pdma_ctx *ctx = test->priv;
	struct device_attribute *available, *size;
	void *memory;

	add_bar_memory(test);
	size = pool_attribute(ctx->pdev, "size");
	available = pool_attribute(ctx->pdev, "available");
	KUNIT_ASSERT_NOT_NULL(test, size);
	KUNIT_ASSERT_NOT_NULL(test, available);
	KUNIT_EXPECT_EQ(test, SZ_2M, shown_number(test, size));
	KUNIT_EXPECT_EQ(test, SZ_2M, shown_number(test, available));

	memory = pci_alloc_p2pmem(ctx->pdev, PAGE_SIZE);
	KUNIT_ASSERT_NOT_NULL(test, memory);
	KUNIT_EXPECT_EQ(test, SZ_2M, shown_number(test, size));
	KUNIT_EXPECT_EQ(test, SZ_2M - PAGE_SIZE, shown_number(test, available));
	pci_free_p2pmem(ctx->pdev, memory, PAGE_SIZE);

	/* For somebody who began to read before the driver was unbound. */
	release_managed(ctx);
	KUNIT_EXPECT_EQ(test, 0, shown_number(test, size));
	KUNIT_EXPECT_EQ(test, 0, shown_number(test, available));
}

/* As when a process maps memory of the pool, and there is none for a page table. */
static void failed_mmap_gives_memory_back(struct kunit *test)
{
	struct vm_area_struct vma = { .vm_end = 4 * PAGE_SIZE };
	struct p2pdma_ctx *ctx = test->priv;
	const struct bin_attribute *allocate;
	struct device_attribute *available;
	int ret;

	add_bar_memory(test);
	available = pool_attribute(ctx->pdev, "available");
	allocate = pool_attribute(ctx->pdev, "allocate");
	KUNIT_ASSERT_NOT_NULL(test, available);
	KUNIT_ASSERT_NOT_NULL(test, allocate);

	/* Nothing but this function does anything with it. */
	vm_flags_init(&vma, VM_MAYSHARE);
	kunit_override_nth(test, &ctx->calls, "vm_insert_page", -ENOMEM);
	kunit_begin_calls(&ctx->calls, 1);
	ret = allocate->mmap(NULL, &ctx->pdev->dev.kobj, allocate, &vma);
	KUNIT_EXPECT_TRUE(test, kunit_end_calls(&ctx->calls));
	KUNIT_EXPECT_EQ(test, ret, -ENOMEM);
	KUNIT_EXPECT_EQ(test, SZ_2M, shown_number(test, available));
}

/* Runs on another CPU, if there is one, at the same time as the case. */
static struct task_struct *run_beside(struct kunit *test,
				      int (*function)(void *), void *data)
{
	unsigned int cpu = cpumask_any_but(cpu_online_mask,
					   raw_smp_processor_id());
	struct task_struct *task;

	task = kthread_create(function, data, "p2pdma_kunit");
	KUNIT_ASSERT_FALSE(test, IS_ERR(task));
	if (cpu < nr_cpu_ids)
		kthread_bind(task, cpu);
	get_task_struct(task);
	wake_up_process(task);
	return task;
}

static int stop_beside(struct task_struct *task)
{
	int ret = kthread_stop(task);

	put_task_struct(task);
	return ret;
}

struct p2pdma_reader {
	struct completion entered;
	bool left;
};

static int read_for_a_while(void *data)
{
	struct p2pdma_reader *reader = data;

	rcu_read_lock();
	complete(&reader->entered);
	mdelay(50);
	WRITE_ONCE(reader->left, true);
	rcu_read_unlock();
	return 0;
}

static const struct reader_param {
	const char *desc;
	bool pages;
} reader_params[] = {
	{ "without pages" },
	{ "with pages", .pages = true },
};

KUNIT_ARRAY_PARAM_DESC(reader, reader_params, desc);

/* Map types are looked up and stored under RCU, whether there are pages or not. */
static void unbind_waits_for_readers(struct kunit *test)
{
	const struct reader_param *param = test->param_value;
	struct p2pdma_ctx *ctx = test->priv;
	struct p2pdma_reader reader = {};
	struct task_struct *task;

	KUNIT_ASSERT_EQ(test, 0, pcim_p2pdma_init(ctx->pdev));
	if (param->pages)
		add_bar_memory(test);

	init_completion(&reader.entered);
	task = run_beside(test, read_for_a_while, &reader);
	wait_for_completion(&reader.entered);

	release_managed(ctx);
	KUNIT_EXPECT_TRUE(test, READ_ONCE(reader.left));

	stop_beside(task);
}

static int unbind(void *ctx)
{
	release_managed(ctx);
	return 0;
}

/* An unbind waits for memory that is in use, and hands out no more. */
static void no_memory_during_unbind(struct kunit *test)
{
	struct p2pdma_ctx *ctx = test->priv;
	struct task_struct *task;
	void *memory, *more;
	unsigned int i;

	add_bar_memory(test);
	memory = pci_alloc_p2pmem(ctx->pdev, PAGE_SIZE);
	KUNIT_ASSERT_NOT_NULL(test, memory);

	task = run_beside(test, unbind, ctx);
	for (i = 0; i < 1000; i++) {
		more = pci_alloc_p2pmem(ctx->pdev, PAGE_SIZE);
		if (!more)
			break;
		pci_free_p2pmem(ctx->pdev, more, PAGE_SIZE);
		msleep(20);
	}
	KUNIT_EXPECT_NULL(test, more);
	KUNIT_EXPECT_TRUE(test, shown_in_sysfs(ctx->pdev));

	pci_free_p2pmem(ctx->pdev, memory, PAGE_SIZE);
	stop_beside(task);
	KUNIT_EXPECT_FALSE(test, shown_in_sysfs(ctx->pdev));
}

#define RACE_ROUNDS	100

struct p2pdma_race {
	struct pci_dev *pdev;
	struct completion ready;
	bool go;
};

static int init_when_told(void *data)
{
	struct p2pdma_race *race = data;

	complete(&race->ready);
	while (!READ_ONCE(race->go)) {
		cpu_relax();
		cond_resched();
	}
	return pcim_p2pdma_init(race->pdev);
}

/*
 * What is set up twice shows when it is released. If nothing orders the callers,
 * they may still happen not to meet, but not in every round.
 */
static void callers_at_once_set_up_once(struct kunit *test)
{
	struct p2pdma_ctx *ctx = test->priv;
	struct p2pdma_race race = { .pdev = ctx->pdev };
	int alone, released, ret, other;
	struct task_struct *task;
	unsigned int i;

	if (num_online_cpus() < 2)
		kunit_skip(test, "no second CPU");

	KUNIT_ASSERT_EQ(test, 0, pcim_p2pdma_init(ctx->pdev));
	alone = release_managed(ctx);

	for (i = 0; i < RACE_ROUNDS; i++) {
		open_managed(test);
		init_completion(&race.ready);
		WRITE_ONCE(race.go, false);
		task = run_beside(test, init_when_told, &race);
		wait_for_completion(&race.ready);

		WRITE_ONCE(race.go, true);
		ret = pcim_p2pdma_init(ctx->pdev);
		other = stop_beside(task);
		released = release_managed(ctx);

		KUNIT_ASSERT_EQ_MSG(test, 0, ret, "round %u", i);
		KUNIT_ASSERT_EQ_MSG(test, 0, other, "round %u", i);
		KUNIT_ASSERT_EQ_MSG(test, alone, released, "round %u", i);
	}
}

/* What can fail while memory is provided, and how it says so */
static const struct fallible {
	const char *function;
	unsigned long failure;
} fallible[] = {
	{ "devm_kmalloc", 0 },
	{ "__devm_add_action", -ENOMEM },
	{ "gen_pool_create", 0 },
	{ "sysfs_create_group", -ENOMEM },
	{ "devm_memremap_pages", -ENOMEM },
	{ "gen_pool_add_owner", -ENOMEM },
};

static const struct failure_param {
	const char *desc;
	bool pages;
	unsigned int failures;	/* at least this many calls can fail */
} failure_params[] = {
	/* what is kept for the device, and what releases it */
	{ "without pages", .failures = 2 },
	/*
	 * also the pool and its directory; what is kept for the pages, themselves
	 * and what releases them; what unmaps them, and adding them to the pool
	 */
	{ "with pages", .pages = true, .failures = 9 },
};

KUNIT_ARRAY_PARAM_DESC(failure, failure_params, desc);

static int provide(struct p2pdma_ctx *ctx, bool pages)
{
	return pages ? pci_p2pdma_add_resource(ctx->pdev, MEMORY_BAR, SZ_2M, 0) :
		       pcim_p2pdma_init(ctx->pdev);
}

static void any_failed_call_can_be_made_again(struct kunit *test)
{
	const struct failure_param *param = test->param_value;
	struct p2pdma_ctx *ctx = test->priv;
	unsigned int i, nth = 0;
	int ret, undisturbed;
	void *memory;

	for (i = 0; i < ARRAY_SIZE(fallible); i++)
		kunit_override_nth(test, &ctx->calls, fallible[i].function,
				   fallible[i].failure);

	KUNIT_ASSERT_EQ(test, 0, provide(ctx, param->pages));
	undisturbed = release_managed(ctx);

	for (;;) {
		open_managed(test);
		kunit_begin_calls(&ctx->calls, ++nth);
		ret = provide(ctx, param->pages);
		if (!kunit_end_calls(&ctx->calls))
			break;

		KUNIT_ASSERT_LT_MSG(test, nth, 100, "there is always a failure");
		KUNIT_EXPECT_EQ_MSG(test, -ENOMEM, ret, "call %u", nth);
		KUNIT_EXPECT_NULL_MSG(test, pci_alloc_p2pmem(ctx->pdev, PAGE_SIZE),
				      "call %u", nth);

		KUNIT_ASSERT_EQ_MSG(test, 0, provide(ctx, param->pages),
				    "call %u", nth);
		if (param->pages) {
			memory = pci_alloc_p2pmem(ctx->pdev, SZ_2M);
			KUNIT_EXPECT_NOT_NULL_MSG(test, memory, "call %u", nth);
			if (memory)
				pci_free_p2pmem(ctx->pdev, memory, SZ_2M);
			KUNIT_EXPECT_NOT_NULL_MSG(test,
						  pool_attribute(ctx->pdev,
								 "allocate"),
						  "call %u", nth);
		}
		KUNIT_EXPECT_EQ_MSG(test, undisturbed, release_managed(ctx),
				    "call %u", nth);
		KUNIT_EXPECT_FALSE(test, shown_in_sysfs(ctx->pdev));
	}

	KUNIT_EXPECT_EQ(test, 0, ret);
	KUNIT_EXPECT_GT(test, nth, param->failures);
}

/* Nothing else tells that a pool has gone: the memory in it belongs to the device. */

static void unbind_destroys_the_pool(struct kunit *test)
{
	struct p2pdma_ctx *ctx = test->priv;

	kunit_override_nth(test, &ctx->calls, "gen_pool_destroy", 0);
	add_bar_memory(test);

	kunit_begin_calls(&ctx->calls, 0);
	release_managed(ctx);
	kunit_end_calls(&ctx->calls);
	KUNIT_EXPECT_EQ(test, ctx->calls.nr, 1);
}

static void pool_that_sysfs_cannot_show_is_destroyed(struct kunit *test)
{
	struct p2pdma_ctx *ctx = test->priv;

	kunit_override_every(test, &ctx->calls, "sysfs_create_group", -ENOMEM);
	kunit_override_nth(test, &ctx->calls, "gen_pool_destroy", 0);

	kunit_begin_calls(&ctx->calls, 0);
	KUNIT_EXPECT_EQ(test, -ENOMEM,
			pci_p2pdma_add_resource(ctx->pdev, MEMORY_BAR, SZ_2M, 0));
	kunit_end_calls(&ctx->calls);
	KUNIT_EXPECT_EQ(test, ctx->calls.nr, 1);
}

static void p2pdma_release(void *data)
{
	struct p2pdma_ctx *ctx = data;

	release_managed(ctx);
	ctx->pdev->non_mappable_bars = ctx->non_mappable_bars;
	pci_disable_device(ctx->pdev);
	pci_dev_put(ctx->pdev);
}

static int p2pdma_init(struct kunit *test)
{
	struct p2pdma_ctx *ctx;

	ctx = kunit_kzalloc(test, sizeof(*ctx), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ctx);
	test->priv = ctx;

	ctx->pdev = pci_get_device(0x1af4, 0x1110, NULL);
	if (!ctx->pdev)
		kunit_skip(test, "no PCI device with memory in a BAR");
	if (ctx->pdev->dev.driver) {
		pci_dev_put(ctx->pdev);
		kunit_skip(test, "the PCI device has a driver");
	}
	if (pci_enable_device_mem(ctx->pdev)) {
		pci_dev_put(ctx->pdev);
		KUNIT_FAIL_AND_ABORT(test, "cannot enable the PCI device");
	}
	ctx->non_mappable_bars = ctx->pdev->non_mappable_bars;
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, p2pdma_release, ctx));

	open_managed(test);

	return 0;
}

static struct kunit_case p2pdma_cases[] = {
	KUNIT_CASE_PARAM(provider_says_where_memory_is_on_the_bus, memory_bar_gen_params),
	KUNIT_CASE(provider_knows_the_offset_of_the_bus),
	KUNIT_CASE(every_bar_has_one_provider),
	KUNIT_CASE_PARAM(no_provider_for_what_is_no_memory_bar, no_memory_gen_params),
	KUNIT_CASE(no_provider_for_expansion_rom),
	KUNIT_CASE_PARAM(no_pages_for_bar_without_memory, unusable_gen_params),
	KUNIT_CASE(no_provider_before_init),
	KUNIT_CASE(no_provider_after_unbind),
	KUNIT_CASE(no_provider_for_bars_unlike_memory),
	KUNIT_CASE(no_memory_to_give_away_before_init),
	KUNIT_CASE(init_gives_away_no_memory),
	KUNIT_CASE_PARAM(added_memory_can_be_allocated, order_gen_params),
	KUNIT_CASE(memory_is_given_out_in_pages),
	KUNIT_CASE(second_resource_adds_to_the_pool),
	KUNIT_CASE(sysfs_tells_how_much_of_the_pool_is_left),
	KUNIT_CASE(failed_mmap_gives_memory_back),
	KUNIT_CASE_PARAM(unbind_waits_for_readers, reader_gen_params),
	KUNIT_CASE(no_memory_during_unbind),
	KUNIT_CASE(callers_at_once_set_up_once),
	KUNIT_CASE_PARAM(any_failed_call_can_be_made_again, failure_gen_params),
	KUNIT_CASE(unbind_destroys_the_pool),
	KUNIT_CASE(pool_that_sysfs_cannot_show_is_destroyed),
	{}
};

static struct kunit_suite p2pdma_suite = {
	.name = "pci_p2pdma",
	.init = p2pdma_init,
	.test_cases = p2pdma_cases,
};

kunit_test_suite(p2pdma_suite);

MODULE_DESCRIPTION("KUnit tests for the providers of peer-to-peer memory");
MODULE_LICENSE("GPL");
