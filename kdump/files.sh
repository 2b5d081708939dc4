# POSIX sh. The same fact under several names.

# first_of FILE…: the first of these files that exists (a kernel interface and its older name). Where none does, cat
# says so, or says what forbids to look.
first_of() {
    for file; do
        if [ -e "$file" ]; then
            cat "$file"
            return
        fi
    done
    cat "$file"
}
