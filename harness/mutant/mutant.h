/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Mutants of the code that a series changes: all are compiled in, and at most
 * the one lives whose number user space has set. Included by headers that are
 * included early, so that this includes nothing.
 */

#ifndef _LINUX_MUTANT_H
#define _LINUX_MUTANT_H

extern unsigned int mutant_number;
extern unsigned int mutant_reached[];
_Bool mutant_lives(void);
_Bool mutant_runs(const char *name);

static inline __attribute__((__always_inline__)) _Bool mutated(unsigned int n)
{
	*(volatile unsigned int *)&mutant_reached[n] += 1;
	return __builtin_expect(*(volatile unsigned int *)&mutant_number == n, 0) &&
	       mutant_lives();
}

/* The condition is evaluated in any case, for what it does besides. */
#define MUTANT_TRUE(n, condition) ({			\
	_Bool __condition = !!(condition);		\
	mutated(n) || __condition;			\
})

#define MUTANT_FALSE(n, condition) ({			\
	_Bool __condition = !!(condition);		\
	!mutated(n) && __condition;			\
})

#define MUTANT_INSTEAD(n, other, value) (mutated(n) ? (other) : (value))

#define MUTANT_MORE(n, number) ((number) + mutated(n))

#define MUTANT_OP(n, op, other, a, b) ({		\
	__auto_type __a = (a);				\
	__auto_type __b = (b);				\
	mutated(n) ? __a other __b : __a op __b;	\
})

#endif /* _LINUX_MUTANT_H */
