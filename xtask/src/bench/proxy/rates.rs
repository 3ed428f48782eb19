//! As many requests as are answered: each way of access, each size of answer.

use super::{
    super::{
        measured::Counts,
        resources::processor_time,
        statistics::median,
        wrk::{self, Load, Outcome},
    },
    Sizes,
    nginx::BODIES,
    table::Table,
    tokens::{Mint, Script},
    world::{Access, OWNER, Servers, World},
};
use crate::Result;

/// Measures all ways of access, and adds a row for each to the tables: requests per second, and what the proxies spend on
/// each.
pub(super) async fn measure(
    world: &World,
    servers: &Servers,
    sizes: Sizes,
    indexed: &str,
    (rates, costs): (&mut Table, &mut Table),
    counts: &mut Counts,
) -> Result {
    let mut tokens = Tokens { mint: Mint::new()?, script: Script::new()? };
    let nginx = world.nginx.processes()?;
    let before = servers.counts().await?;
    for (body, _) in BODIES {
        let (mut pod, mut bare, mut peer) = (Vec::new(), Vec::new(), Measurements::default());
        let mut others = vec![Vec::new(); world.others().count()];
        let mut ours: [Measurements; 4] = Default::default();
        for _ in 0..sizes.rounds {
            pod.push(plain(&world.pod_url(body), sizes).await?.per_second);
            peer.take(&nginx, plain(&world.nginx_url(body), sizes)).await?;
            bare.push(plain(&world.bare_url(body), sizes).await?.per_second);
            let most = peer.rates.iter().fold(0.0, |most: f64, rate| most.max(*rate));
            for (access, ours) in Access::ALL.into_iter().zip(&mut ours) {
                let load = send(servers, access, body, sizes, &mut tokens, most);
                ours.take(&[servers.of(access).pid()?], load).await?;
            }
            for (other, rates) in world.others().zip(&mut others) {
                rates.push(plain(&format!("{}/{body}", other.url), sizes).await?.per_second);
            }
        }
        for (access, ours) in Access::ALL.into_iter().zip(&ours) {
            let mut row = vec![median(&pod), median(&peer.rates), median(&ours.rates), median(&bare)];
            row.extend(others.iter().map(|rates| median(rates)));
            let label = label(indexed, body, access);
            rates.row(&label, row);
            costs.row(&label, vec![median(&peer.costs), median(&ours.costs)]);
        }
    }
    let after = servers.counts().await?;
    counts.proxied += after.proxied - before.proxied;
    counts.api_calls += after.api_calls - before.api_calls;
    Ok(())
}

/// How the rate by session cookie compares to nginx's.
pub(super) fn of_session(rates: &Table, indexed: &str) -> f64 {
    let [(small, _), _] = BODIES;
    rates.ratio(&label(indexed, small, Access::Session), "no-crd").unwrap_or(f64::NAN)
}

fn label(indexed: &str, body: &str, access: Access) -> String {
    format!("{indexed:<17}{body:<4}{access}")
}

/// What was measured in each round.
#[derive(Default)]
struct Measurements {
    rates: Vec<f64>,
    /// Microseconds of processor time for each request.
    costs: Vec<f64>,
}

impl Measurements {
    async fn take(&mut self, processes: &[u32], load: impl Future<Output = Result<Outcome>>) -> Result {
        let before = processor_time(processes)?;
        let outcome = load.await?;
        let spent = processor_time(processes)?.saturating_sub(before);
        self.rates.push(outcome.per_second);
        #[expect(clippy::cast_precision_loss, reason = "not that many")]
        self.costs.push(spent.as_secs_f64() * 1e6 / outcome.requests as f64);
        Ok(())
    }
}

async fn plain(url: &str, sizes: Sizes) -> Result<Outcome> {
    wrk::send(&Load { url, seconds: sizes.seconds, headers: &[], script: None }).await
}

struct Tokens {
    mint: Mint,
    script: Script,
}

/// The load on our server. `most` is the rate that new tokens should do for, with some more.
async fn send(
    servers: &Servers,
    access: Access,
    body: &str,
    sizes: Sizes,
    tokens: &mut Tokens,
    most: f64,
) -> Result<Outcome> {
    let url = servers.url(access, body);
    if access != Access::NewTokens {
        let headers = servers.headers(access)?;
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        return wrk::send(&Load { url: &url, seconds: sizes.seconds, headers: &headers, script: None }).await;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of requests")]
    let count = (most * f64::from(sizes.seconds) * 1.5) as u64 + 1000;
    let file = tokens.script.fill(&mut tokens.mint, OWNER, count)?;
    let script = Some((tokens.script.path(), file));
    let script = script.as_ref().map(|(script, file)| (script.as_path(), file.as_path()));
    let outcome = wrk::send(&Load { url: &url, seconds: sizes.seconds, headers: &[], script }).await?;
    if outcome.requests > count {
        return Err(format!("{} requests for {count} tokens", outcome.requests).into());
    }
    Ok(outcome)
}
