package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// childVariable names the role that this program has as a child of itself.
const childVariable = "RIVERHOOK_BENCH_CHILD"

// childRole is what a child does until its standard input ends, as it also does
// when its parent is killed. It calls ready once with what the parent must know.
type childRole func(ctx context.Context, in *bufio.Reader, ready func(answer string)) error

func childRoles() map[string]childRole {
	return map[string]childRole{
		"engine":   serveEngine,
		"poster":   servePoster,
		"producer": serveProducer,
		"receiver": serveReceiver,
		"writer":   serveWriter,
	}
}

func runChild(ctx context.Context, role string, stdin io.Reader, stdout, stderr io.Writer) int {
	run, ok := childRoles()[role]
	if !ok {
		printf(stderr, "bench: no role %q\n", role)
		return exitUsage
	}
	ready := func(answer string) { printf(stdout, "%s\n", answer) }
	if err := run(context.WithoutCancel(ctx), bufio.NewReader(stdin), ready); err != nil {
		printf(stderr, "bench: %s: %v\n", role, err)
		return exitFailed
	}
	return exitOK
}

// untilEnd returns when the parent closes the child's input, or is gone.
func untilEnd(in io.Reader) error {
	_, err := io.Copy(io.Discard, in)
	return err
}

// child is a process of this program in another role.
type child struct {
	cmd    *exec.Cmd
	answer string // what it said when it was ready
	in     io.WriteCloser
	out    *bufio.Reader
}

// startChild starts this program in a role and waits until it is ready. The
// settings are environment variables.
func startChild(ctx context.Context, role string, settings ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	// The child outlives ctx: its input is what it lives by.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), self) //nolint:gosec // this program
	cmd.Env = append(append(os.Environ(), childVariable+"="+role), settings...)
	cmd.Stderr = os.Stderr
	c := &child{cmd: cmd}
	if c.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewReader(out)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the %s: %w", role, err)
	}
	if c.answer, err = c.line(); err != nil {
		return nil, errors.Join(fmt.Errorf("the %s did not start: %w", role, err), c.kill())
	}
	return c, nil
}

// line is the next line that the child says.
func (c *child) line() (string, error) {
	line, err := c.out.ReadString('\n')
	return strings.TrimSpace(line), err
}

// tell sends the child a line.
func (c *child) tell(line string) error {
	_, err := fmt.Fprintln(c.in, line)
	return err
}

// close asks the child to end and waits for it.
func (c *child) close() error {
	const patience = time.Minute
	timer := time.AfterFunc(patience, func() { _ = c.cmd.Process.Kill() })
	defer timer.Stop()
	return errors.Join(c.in.Close(), c.cmd.Wait())
}

// kill ends the child as a power cut would, and returns when it is gone.
func (c *child) kill() error {
	if err := c.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	var exit *exec.ExitError
	if err := c.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		return err
	}
	return nil
}
