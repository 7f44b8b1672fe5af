//go:build unix

package pgserver

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
)

// StartPair starts two private servers from the programs on this machine: a primary
// and its standby by streaming replication, which answers what only reads. SQL's
// pg_promote makes the standby a primary. Closing one ends that one only, at once.
func StartPair(ctx context.Context, opts *Opts) (primary, standby *Server, err error) {
	m := thisMachine()
	opts = opts.withDefaults()
	ctx, cancel := context.WithTimeout(ctx, opts.Timeout)
	defer cancel()
	found := m.findPrograms(ctx)
	if len(found) == 0 {
		return nil, nil, errors.New("pgserver: no server programs for a pair")
	}
	binDir := found[0].dir
	primary, err = m.startCluster(ctx, opts, binDir, "primary of "+binDir)
	if err != nil {
		return nil, nil, fmt.Errorf("pgserver: primary: %w", err)
	}
	standby, err = m.startStandby(ctx, opts, binDir, primary.url)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("pgserver: standby: %w", err), primary.Close())
	}
	primary.stop, standby.stop = sync.OnceValue(primary.stop), sync.OnceValue(standby.stop)
	return primary, standby, nil
}

// startStandby copies the cluster at a URL and follows it.
func (m *machine) startStandby(ctx context.Context, opts *Opts, binDir, primary string) (*Server, error) {
	account, err := m.serverAccount()
	if err != nil {
		return nil, err
	}
	folder, err := m.makeFolder(account, m.clusterDirs(opts))
	if err != nil {
		return nil, err
	}
	c := &cluster{
		account:  account,
		binDir:   binDir,
		folder:   folder,
		freePort: m.freePort,
		password: passwordOf(primary),
	}
	backup := c.command(ctx, filepath.Join(binDir, "pg_basebackup"),
		"--pgdata", filepath.Join(folder, "data"), "--dbname", primary, "--write-recovery-conf", "--checkpoint", "fast", "--no-sync")
	if out, err := backup.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w\n%s", backup.Path, err, lastLines(string(out))), os.RemoveAll(folder))
	}
	for range portTries {
		if err = c.start(ctx, opts); !errors.Is(err, errPortTaken) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	return &Server{
		owned:  true,
		source: fmt.Sprintf("Postgres: standby of %s on 127.0.0.1:%d", binDir, c.port),
		stop:   c.stop,
		url:    c.url(),
	}, nil
}

// passwordOf is that of a URL of a cluster, which its standby has as well.
func passwordOf(clusterURL string) string {
	u, err := url.Parse(clusterURL)
	if err != nil {
		return ""
	}
	password, _ := u.User.Password()
	return password
}
