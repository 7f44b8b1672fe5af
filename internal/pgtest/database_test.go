package pgtest

import (
	"context"
	"crypto/rand"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

func TestDatabase_IsACopyOfATemplateThatIsMadeOnce(t *testing.T) {
	t.Parallel()

	// setup gives databases with a prefix of their own, as another run has them.
	setup := func(t *testing.T) *databases {
		t.Helper()
		d := &databases{prefix: server(t).prefix + "x" + strings.ToLower(rand.Text()[:8]) + "_", url: server(t).url}
		t.Cleanup(func() { require.NoError(t, d.dropAll(context.WithoutCancel(t.Context()))) })
		return d
	}

	t.Run("TheTemplateIsMadeOnce", func(t *testing.T) {
		t.Parallel()
		d := setup(t)
		var all sync.WaitGroup
		templates := make([]string, 4)
		errs := make([]error, 4)
		for i := range templates {
			all.Go(func() { templates[i], errs[i] = d.migratedTemplate(t.Context()) })
		}
		all.Wait()
		for i := range templates {
			require.NoError(t, errs[i])
		}
		require.Equal(t, []string{templates[0]}, names(t, d.prefix))
	})

	t.Run("ATemplateThatWasNotFinishedIsMadeAnew", func(t *testing.T) {
		t.Parallel()
		d := setup(t)
		template, err := d.migratedTemplate(t.Context())
		require.NoError(t, err)
		require.NoError(t, d.admin(t.Context(), func(conn *pgx.Conn) error {
			if _, err := conn.Exec(t.Context(), "ALTER DATABASE "+quote(template)+" WITH IS_TEMPLATE false"); err != nil {
				return err
			}
			if err := dropDatabase(t.Context(), conn, template); err != nil {
				return err
			}
			return createDatabase(t.Context(), conn, template, "template0")
		}))
		again, err := d.migratedTemplate(t.Context())
		require.NoError(t, err)
		require.Equal(t, template, again)

		conn, err := pgx.Connect(t.Context(), d.database(t.Context(), t, template))
		require.NoError(t, err)
		defer conn.Close(t.Context())
		_, err = conn.Exec(t.Context(), "SELECT FROM riverhook.river_job")
		require.NoError(t, err)
	})

	t.Run("ARoleWithoutTheRightToCreateThemIsToldWhatIsMissing", func(t *testing.T) {
		t.Parallel()
		role := "limited_" + strings.ToLower(rand.Text()[:8])
		require.NoError(t, server(t).admin(t.Context(), func(conn *pgx.Conn) error {
			_, err := conn.Exec(t.Context(), "CREATE ROLE "+role+" LOGIN PASSWORD 'x'")
			return err
		}))
		t.Cleanup(func() {
			ctx := context.WithoutCancel(t.Context())
			require.NoError(t, server(t).admin(ctx, func(conn *pgx.Conn) error {
				_, err := conn.Exec(ctx, "DROP ROLE "+role)
				return err
			}))
		})
		cfg, err := pgx.ParseConfig(server(t).url)
		require.NoError(t, err)
		cfg.User, cfg.Password = role, "x"
		conn, err := pgx.ConnectConfig(t.Context(), cfg)
		require.NoError(t, err)
		defer conn.Close(t.Context())
		require.ErrorContains(t, createDatabase(t.Context(), conn, "never", "template0"),
			`the role `+role+` of DATABASE_URL has no right to create databases (grant it: ALTER ROLE "`+role+`" CREATEDB)`)
	})
}

func TestWithDatabase_NamesItInEachFormOfAURL(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{
		{"host=h user=u", "host=h user=u dbname=new"},
		{"host=h dbname=old user=u", "host=h dbname=old user=u dbname=new"},
		{"postgres://u:p%40@h:1", "postgres://u:p%40@h:1/new"},
		{"postgres://u@h/old?sslmode=disable", "postgres://u@h/new?sslmode=disable"},
		{"postgresql:///old?dbname=older&host=%2Ftmp", "postgresql:///new?host=%2Ftmp"},
	} {
		require.Equal(t, c[1], withDatabase(c[0], "new"))
		cfg, err := pgx.ParseConfig(withDatabase(c[0], "new"))
		require.NoError(t, err)
		require.Equal(t, "new", cfg.Database, c[0])
	}
}
