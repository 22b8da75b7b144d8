# The machine kvm of the mini-VMM. Each prints a skip where there is no KVM.

kvm_kit = tests/unit/kvm-kit.c tests/unit/kvm-kit.h tests/unit/run-case.h
kvm_cppflags = $(unit_cppflags) -I$(top_srcdir)/examples/minivmm \
	-I$(top_srcdir)/tests/unit
kvm_ldadd = examples/minivmm/libkvm.la examples/minivmm/libworkload.la \
	$(unit_ldadd)

if X86_64
unit_tests += tests/unit/check-kvm-dirty tests/unit/check-kvm-guest \
	tests/unit/check-kvm-machine tests/unit/check-kvm-vcpu
endif

tests_unit_check_kvm_dirty_SOURCES = tests/unit/check-kvm-dirty.c $(kvm_kit)
tests_unit_check_kvm_dirty_CPPFLAGS = $(kvm_cppflags)
tests_unit_check_kvm_dirty_CFLAGS = $(unit_cflags)
tests_unit_check_kvm_dirty_LDADD = $(kvm_ldadd)

tests_unit_check_kvm_guest_SOURCES = tests/unit/check-kvm-guest.c $(kvm_kit)
tests_unit_check_kvm_guest_CPPFLAGS = $(kvm_cppflags)
tests_unit_check_kvm_guest_CFLAGS = $(unit_cflags)
tests_unit_check_kvm_guest_LDADD = $(kvm_ldadd)

tests_unit_check_kvm_machine_SOURCES = tests/unit/check-kvm-machine.c $(kvm_kit)
tests_unit_check_kvm_machine_CPPFLAGS = $(kvm_cppflags)
tests_unit_check_kvm_machine_CFLAGS = $(unit_cflags)
tests_unit_check_kvm_machine_LDADD = $(kvm_ldadd)

tests_unit_check_kvm_vcpu_SOURCES = tests/unit/check-kvm-vcpu.c $(kvm_kit)
tests_unit_check_kvm_vcpu_CPPFLAGS = $(kvm_cppflags)
tests_unit_check_kvm_vcpu_CFLAGS = $(unit_cflags)
tests_unit_check_kvm_vcpu_LDADD = $(kvm_ldadd)
