//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package pgtest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/riverhook/riverhook/internal/pgserver"
)

const (
	// supervisorEnv tells this program to be a supervisor, and of which folder.
	supervisorEnv = "RIVERHOOK_PGTEST_SUPERVISOR"

	// linger is how long a server without users stays, for the next package.
	linger = 2 * time.Second

	// suiteLinger is the same while a `go` process runs that had tests of ours:
	// it may be compiling the next package.
	suiteLinger = time.Minute

	pollInterval = 100 * time.Millisecond
)

// A test program that is started as a supervisor must become one before it
// looks at its flags or runs a test, whether it has a TestMain or not.
func init() { //nolint:gochecknoinits // nothing else runs in a test binary without a TestMain
	if folder := os.Getenv(supervisorEnv); folder != "" {
		if supervise(folder) != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
}

// supervise owns the server of a run until it is no longer used.
func supervise(folder string) error {
	// Whoever ends this process politely gets the same end as the last user.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	answer := os.NewFile(3, "answer")
	server, err := pgserver.Start(ctx, serverOpts())
	if err != nil {
		return errors.Join(err, tell(answer, &state{Err: err.Error()}))
	}
	s := &supervisor{folder: folder, server: server}
	announced := &state{
		PID:    os.Getpid(),
		Prefix: "riverhook_" + strings.ToLower(rand.Text()[:8]) + "_",
		Source: server.Source(),
		URL:    server.URL(),
	}
	if err := s.announce(announced); err != nil {
		return errors.Join(err, tell(answer, &state{Err: err.Error()}), server.Close())
	}
	tellErr := tell(answer, announced)
	s.waitUnused(ctx)
	return errors.Join(tellErr, s.end(announced))
}

func tell(answer *os.File, s *state) error {
	return errors.Join(json.NewEncoder(answer).Encode(s), answer.Close())
}

type supervisor struct {
	folder string
	server *pgserver.Server
	state  *os.File // locked
	users  *os.File
}

// announce puts the state where other processes find it, complete and locked
// from its first moment on.
func (s *supervisor) announce(announced *state) (err error) {
	if s.users, err = os.Open(filepath.Join(s.folder, usersFile)); err != nil {
		return err
	}
	path := filepath.Join(s.folder, serverFile)
	unfinished := fmt.Sprintf("%s.%d", path, os.Getpid())
	if s.state, err = os.OpenFile(unfinished, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err != nil {
		return err
	}
	if !tryLock(s.state, syscall.LOCK_EX) {
		return fmt.Errorf("lock %s", unfinished)
	}
	if err := json.NewEncoder(s.state).Encode(announced); err != nil {
		return err
	}
	return os.Rename(unfinished, path)
}

// waitUnused returns when nobody has used the server for a while. It then holds
// the lock that keeps new users out.
func (s *supervisor) waitUnused(ctx context.Context) {
	var idleSince time.Time
	for ctx.Err() == nil {
		if !tryLock(s.users, syscall.LOCK_EX) {
			idleSince = time.Time{}
		} else {
			if idleSince.IsZero() {
				idleSince = time.Now()
			}
			idle := time.Since(idleSince)
			if idle >= suiteLinger || idle >= linger && !s.suiteRuns() {
				return
			}
			tryLock(s.users, syscall.LOCK_UN)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pollInterval):
		}
	}
}

func (s *supervisor) suiteRuns() bool {
	files, _ := filepath.Glob(filepath.Join(s.folder, suitePrefix+"*"))
	for _, file := range files {
		pid, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(file), suitePrefix))
		if err == nil && !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			return true
		}
	}
	return false
}

// end removes the folder, unless it is another supervisor's by now, and ends
// the server.
func (s *supervisor) end(announced *state) error {
	var errs []error
	if isStill(s.state, filepath.Join(s.folder, serverFile)) {
		// New users must find the folder whole or not at all.
		gone := fmt.Sprintf("%s.%d", s.folder, os.Getpid())
		errs = append(errs, os.Rename(s.folder, gone), os.RemoveAll(gone))
	}
	if !s.server.Owned() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		databases := &databases{prefix: announced.Prefix, url: announced.URL}
		errs = append(errs, databases.dropAll(ctx))
	}
	return errors.Join(append(errs, s.server.Close())...)
}
