//! Pure numbers of the gates: e-processes, batch means, planning.
