//! Nothing that one person does tells them of what is another's, or touches it: their workspaces, pods, templates, Secrets
//! and volumes.

mod game;
mod steps;

use std::{cell::RefCell, panic::AssertUnwindSafe};

use nocrd_model::Role;
use proptest::{prelude::*, test_runner::TestRunner};

use self::{
    game::Game,
    steps::{Step, Wish, step},
};

/// Who Bert is. His name stands on templates that he made for everybody.
const BERT: &str = "xbertx";
/// What everything else of his contains.
const MARK: &str = "xmarkx";
/// The name of a Secret of his.
const SECRET: &str = "db";

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn t50_no_sequence_of_calls_reaches_what_is_another_s() {
    let runtime = runtime();
    let games = [true, false].map(|managed_only| RefCell::new(runtime.block_on(Game::new(managed_only))));
    let roles = prop::sample::select(vec![Role::Viewer, Role::User, Role::User]);
    let cases = (0..games.len(), roles, prop::collection::vec(step(), 1..24));
    let config = ProptestConfig {
        cases: 40,
        max_shrink_iters: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let outcome = TestRunner::new(config).run(&cases, |(game, role, steps)| {
        runtime.block_on(games[game].borrow_mut().play(role, &steps));
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    for game in games {
        runtime.block_on(game.into_inner().stop());
    }
}

/// Each of these once told something of Bert's.
#[test]
fn t50_what_was_told_once() {
    let runtime = runtime();
    let mut game = runtime.block_on(Game::new(true));
    let steps = [
        // Whether a workspace has that id.
        Step::new("create_pod", "ws-b1", Wish::Nothing),
        Step::new("create_pod_from_template", "ws-b1", Wish::Nothing),
    ];
    runtime.block_on(game.play(Role::User, &steps));
    runtime.block_on(game.stop());
}

/// The game notices what an administrator may do, hence would notice if everybody might.
#[test]
fn whoever_reaches_what_is_another_s_is_noticed() {
    let runtime = runtime();
    // Those that change something come last.
    for steps in [
        &[
            ("list_workspaces", "b1", Wish::Nothing),
            ("get_workspace", "b2", Wish::Nothing),
            ("get_workspace_events", "b1", Wish::Nothing),
            ("list_pods", "b1", Wish::Nothing),
            ("list_pods", "b1", Wish::Selected),
            ("get_pod", "b1", Wish::Nothing),
            ("get_pod", "ws-b1", Wish::Nothing),
            ("get_pod_logs", "b2", Wish::Nothing),
            ("list_templates", "b2", Wish::Nothing),
            ("get_template", "b2", Wish::Nothing),
            ("spawn_workspace", "a1", Wish::Secret),
            ("create_pod", "a1", Wish::Claim),
            ("patch_pod", "b1", Wish::Nothing),
        ][..],
        &[("spawn_workspace", "a1", Wish::Bert)],
        &[("update_template", "b1", Wish::More)],
        &[("delete_template", "b2", Wish::Nothing)],
        &[("stop_workspace", "b1", Wish::Nothing)],
        &[("delete_pod", "b2", Wish::Nothing)],
    ] {
        let mut game = runtime.block_on(Game::new(true));
        for (tool, name, wish) in steps {
            let step = Step::new(tool, name, *wish);
            let play = AssertUnwindSafe(|| runtime.block_on(game.play(Role::Admin, &[step])));
            assert!(std::panic::catch_unwind(play).is_err(), "{tool} {name} {wish:?}");
        }
        runtime.block_on(game.stop());
    }
}

#[test]
fn all_tools_are_played_with() {
    for tool in nocrd_mcp_surface::catalogue::TOOLS {
        for role in [Role::Viewer, Role::User] {
            assert!(Step::new(tool.name, "a1", Wish::Nothing).arguments(role, 1).is_object());
        }
    }
}
