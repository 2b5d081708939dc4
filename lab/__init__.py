"""The lab: real machines with a real kernel and a real kdump, under QEMU.

::

    make lab                         # packages, image, frozen machine: once, some minutes
    python -m lab up                 # leave debian12 running; `ssh`, `console`, `status`, `down` go with it
    pytest --hosts=lab://debian12    # boot one for this run; bare `pytest` means the same

What a machine is made of is in lab/recipe.py; how it is driven, in lab/machine.py::

    from lab import image
    from lab.machine import Machine

    with Machine(image.find("debian12"), crashkernel="96M", devices=("i6300esb",)) as machine:
        machine.boot()
        print(machine.run("cat /sys/kernel/kexec_crash_loaded").stdout)

Environment: KDUMP_LAB_MIRROR (where the packages come from), KDUMP_LAB_ACCEL (kvm or tcg, instead of trying KVM),
XDG_CACHE_HOME (lab/paths.py says what is kept there).
"""
