import { Component, provideZonelessChangeDetection, signal } from '@angular/core';
import { bootstrapApplication } from '@angular/platform-browser';
import { embed } from '../embed.js';

/** Shows what came of it as `globalThis.answer`. */
@Component({ selector: 'app-root', template: '<p>{{ status() }}</p>' })
class App {
  readonly status = signal('loading');

  constructor() {
    const answer = embed(new URLSearchParams(location.search).get('host')).catch(({ code, message }) => ({
      code,
      message,
    }));
    Object.assign(globalThis, { answer });
    answer.then(() => this.status.set('ready'));
  }
}

bootstrapApplication(App, { providers: [provideZonelessChangeDetection()] });
