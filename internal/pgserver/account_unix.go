//go:build unix

package pgserver

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is the unprivileged user that the server runs as; nil is the user of
// this program.
type account struct{ uid, gid uint32 }

// serverAccount finds an unprivileged user when we are root, whom Postgres
// refuses.
func (m *machine) serverAccount() (*account, error) {
	if m.uid != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if uidErr == nil && gidErr == nil && uid != 0 {
			return &account{uid: uint32(uid), gid: uint32(gid)}, nil
		}
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as")
}

func (a *account) credential() *syscall.Credential {
	if a == nil {
		return nil
	}
	return &syscall.Credential{Uid: a.uid, Gid: a.gid}
}

func (a *account) own(path string) error {
	if a == nil {
		return nil
	}
	return os.Chown(path, int(a.uid), int(a.gid))
}

// makeFolder makes the cluster's folder where the account can reach it and also
// remove it.
func (m *machine) makeFolder(a *account, parents []string) (string, error) {
	var errs []error
	for _, parent := range parents {
		if err := a.canUse(parent); err != nil {
			errs = append(errs, err)
			continue
		}
		folder, err := os.MkdirTemp(parent, "riverhook-postgres-")
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if err := a.own(folder); err != nil {
			return "", errors.Join(err, os.RemoveAll(folder))
		}
		return folder, nil
	}
	return "", fmt.Errorf("no temporary folder: %w", errors.Join(errs...))
}

// canUse says why the account cannot make and remove folders in dir.
func (a *account) canUse(dir string) error {
	if a == nil {
		return nil
	}
	const writeByAll, searchByAll = 0o003, 0o001
	need := os.FileMode(writeByAll)
	for {
		info, err := os.Stat(dir)
		if err != nil {
			return err
		}
		if info.Mode().Perm()&need != need {
			return fmt.Errorf("%s: not open to the user that the server would run as", dir)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
		dir, need = filepath.Dir(dir), searchByAll
	}
}
